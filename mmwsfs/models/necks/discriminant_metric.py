from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmwsfs.registry import MODELS


class MetricSums:
    """Sums over the objects of images, all that a :class:`DiscriminantMetric` needs.

    Every object counts alike, whatever its size. For every class and the background,
    which is number 0.

    Args:
        num_layers: L.
        embed_dims: C.
        num_classes: N.
    """

    def __init__(self, num_layers: int, embed_dims: int, num_classes: int) -> None:
        double = dict(dtype=torch.double)
        self.gram = torch.zeros(num_layers, embed_dims, embed_dims, **double)
        self.means = torch.zeros(1 + num_classes, num_layers, embed_dims, **double)
        self.counts = torch.zeros(1 + num_classes, **double)
        self.patches = torch.zeros(num_layers, embed_dims, **double)
        self.cls = torch.zeros(num_layers, embed_dims, **double)
        self.images = 0

    def add_image(self, tokens: Tensor) -> None:
        """Take an image's tokens, (L, 1 + P, C), into the means of all of them."""
        self.patches += tokens[:, 1:].float().mean(dim=1).double().cpu()
        self.cls += tokens[:, 0].double().cpu()
        self.images += 1

    def add_object(self, patches: Tensor, shares: Tensor, number: int) -> None:
        """Take an object in, or an image's background.

        Args:
            patches: (L, P, C).
            shares: (P,) in 0..1, how much of each patch it covers; none is left out.
            number: its class, 1..N; 0 is background, of which the mean alone is taken.
        """
        total = float(shares.sum())
        if total <= 0:
            return
        covered = shares > 0
        x, weights = patches[:, covered].float(), shares[covered].float() / total
        weighted = x * weights[:, None]
        self.means[number] += weighted.sum(dim=1).double().cpu()
        self.counts[number] += 1
        if number:
            self.gram += (weighted.transpose(1, 2) @ x).double().cpu()

    def class_means(self) -> Tensor:
        """(M, L, C), of the background and the classes that were shown."""
        shown = self.counts > 0
        return self.means[shown] / self.counts[shown, None, None]

    def within(self) -> Tensor:
        """(L, C, C), covariance of an object's patches about the mean of its class."""
        sums = self.means[1:][self.counts[1:] > 0].transpose(0, 1)
        means = self.class_means()[-sums.shape[1]:].transpose(0, 1)
        return (self.gram - sums.transpose(1, 2) @ means) / self.counts[1:].sum()


@MODELS.register_module()
class DiscriminantMetric(BaseModule):
    """Brings tokens into a space where cosines tell classes apart; our addition.

    Where a backbone's tokens differ most, they need not differ by class. From images
    that carry masks it is known how the patches of one class vary. For every block, on
    its own, tokens lose their mean and are whitened by this variation (within-class
    covariance normalisation, Hatch et al., Interspeech 2006); then the directions in
    which the classes' means differ, a linear discriminant analysis's, count
    ``1 + emphasis`` times. Fitted in closed form before training, by a
    :class:`~mmwsfs.engine.hooks.DiscriminantMetricHook`, and then frozen; until then
    it changes nothing. It holds for new classes too, as far as these vary and differ
    in the same ways.

    Args:
        num_layers (int): blocks of the backbone, L. Defaults to 12.
        embed_dims (int): width of the backbone, C. Defaults to 384.
        ridge (float): added to the covariance, in units of its mean eigenvalue.
            Defaults to 1.
        emphasis (float): Defaults to 1.
        init_cfg (dict, optional): Defaults to None.
    """

    def __init__(self,
                 num_layers: int = 12,
                 embed_dims: int = 384,
                 ridge: float = 1.,
                 emphasis: float = 1.,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.ridge = ridge
        self.emphasis = emphasis
        self.register_buffer(
            'matrix', torch.eye(embed_dims).repeat(num_layers, 1, 1))
        # The means of CLS and of patches as the matrix gives them.
        self.register_buffer('cls_offset', torch.zeros(num_layers, 1, embed_dims))
        self.register_buffer('patch_offset', torch.zeros(num_layers, 1, embed_dims))

    def fit(self, sums: MetricSums) -> None:
        """Learn from objects of classes.

        Raises:
            ValueError: there are objects of fewer than two classes.
        """
        means = sums.class_means().transpose(0, 1)
        if int((sums.counts[1:] > 0).sum()) < 2:
            raise ValueError(
                'a metric between classes needs masks, or labels, of two classes at '
                'least')
        for matrix, within, mean in zip(self.matrix, sums.within(), means):
            values, vectors = torch.linalg.eigh(within)
            values = values.clamp_min(0) + self.ridge * values.mean()
            whiten = vectors / values.sqrt() @ vectors.T
            # As many directions as there are means, less one.
            _, _, between = torch.linalg.svd(
                (mean - mean.mean(dim=0)) @ whiten, full_matrices=False)
            between = between[:len(mean) - 1]
            matrix.copy_(whiten + self.emphasis * (whiten @ between.T) @ between)
        for offset, total in ((self.cls_offset, sums.cls),
                              (self.patch_offset, sums.patches)):
            mean = (total / sums.images).unsqueeze(1).to(offset)
            offset.copy_(mean @ self.matrix)

    def _transform(self, tokens: Tensor, offset: Tensor) -> Tensor:
        with torch.autocast(tokens.device.type, enabled=False):
            return torch.baddbmm(offset, tokens.float(), self.matrix, beta=-1)

    def patches(self, tokens: Tensor) -> Tensor:
        """(L, T, C) of patches -> (L, T, C) single precision."""
        return self._transform(tokens, self.patch_offset)

    def forward(self, tokens: Tensor) -> Tensor:
        """(L, 1 + T, C), CLS and patches -> (L, 1 + T, C) single precision."""
        cls = self._transform(tokens[:, :1], self.cls_offset)
        return torch.cat([cls, self.patches(tokens[:, 1:])], dim=1)
