from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmwsfs.models.discriminant import discriminant
from mmwsfs.models.patch_sums import PatchSums
from mmwsfs.registry import MODELS
from mmwsfs.structures import Fitting, TokenGrid, TrainingImage, ViTFeatures

RIDGE = 1.  # added to the covariance, in units of its mean eigenvalue


class _ObjectSums:
    """Sums over the objects of images, each of which counts alike, whatever its size.

    Args:
        shape: (L, C), blocks and width of the backbone.
        num_classes: N.
    """

    def __init__(self, shape: tuple[int, int], num_classes: int) -> None:
        self.objects = PatchSums(shape, num_classes)
        self.backgrounds = 0  # that are not empty
        self.background = torch.zeros(shape, dtype=torch.double)  # sum of their means
        self.cls = torch.zeros(shape, dtype=torch.double)
        self.patches = torch.zeros(shape, dtype=torch.double)
        self.images = self.masked = 0

    def add(self, image: TrainingImage) -> None:
        """Take an image, its objects and its background in."""
        tokens = image.features.tokens[0].float()
        patches = tokens[:, 1:]
        self.cls += tokens[:, 0].double().cpu()
        self.patches += patches.mean(dim=1).double().cpu()
        self.images += 1
        self.masked += image.masks is not None
        for number, shares in zip(image.classes, image.shares):
            covered = shares > 0
            if covered.any():
                weights = shares[covered] / shares.sum()
                classes = torch.zeros(
                    len(weights), len(self.objects.shares), device=shares.device)
                classes[:, number - 1] = 1
                self.objects.add(patches[:, covered], classes, weights)
        background = (image.valid - image.shares.sum(dim=0)).clamp_min(0)
        if background.any():
            mean = background / background.sum() @ patches
            self.background += mean.double().cpu()
            self.backgrounds += 1

    def class_means(self) -> Tensor:
        """(L, M, C), of the background, if there is any, and the classes shown."""
        shown = self.objects.shares > 0
        means = (self.objects.cross / self.objects.shares)[..., shown].transpose(1, 2)
        if not self.backgrounds:
            return means
        return torch.cat([(self.background / self.backgrounds)[:, None], means], dim=1)

    def within(self, block: int) -> Tensor:
        """(C, C), covariance of an object's patches about the mean of its class."""
        shown = self.objects.shares > 0
        cross = self.objects.cross[block][:, shown]
        between = cross / self.objects.shares[shown] @ cross.T
        return (self.objects.gram[block] - between) / self.objects.shares.sum()


@MODELS.register_module()
class DiscriminantMetric(BaseModule):
    """Brings tokens into a space where cosines tell classes apart; our addition.

    Where a backbone's tokens differ most, they need not differ by class. From images
    that carry masks it is known how the patches of one class vary. For every block, on
    its own, tokens lose their mean, are whitened by this variation, and the directions
    in which the classes' means differ count twice (:func:`.discriminant`). Fitted in
    closed form before training (:meth:`fit_to`), and then frozen; until then it changes
    nothing. It holds for new classes too, as far as these vary and differ in the same
    ways.

    Args:
        num_layers (int): blocks of the backbone, L.
        embed_dims (int): width of the backbone, C.
        init_cfg (dict, optional): Defaults to None.
    """

    def __init__(self,
                 num_layers: int,
                 embed_dims: int,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.register_buffer(
            'matrix', torch.eye(embed_dims).repeat(num_layers, 1, 1))
        # The means of CLS and of patches as the matrix gives them.
        self.register_buffer('cls_offset', torch.zeros(num_layers, 1, embed_dims))
        self.register_buffer('patch_offset', torch.zeros(num_layers, 1, embed_dims))

    @torch.no_grad()
    def fit_to(self, fitting: Fitting) -> None:
        """Learn from all training images: their masks, else their pseudo-masks.

        Raises:
            ValueError: there are objects of fewer than two classes.
        """
        images = fitting.images
        sums = _ObjectSums(tuple(self.matrix.shape[:2]), images.num_classes)
        for name in sorted(images.classes):
            sums.add(images[name])
        objects = sums.objects.shares
        if int((objects > 0).sum()) < 2:
            raise ValueError(
                'a metric between classes needs masks, or labels, of two classes at '
                'least')
        for block, means in enumerate(sums.class_means()):
            self.matrix[block].copy_(
                discriminant(sums.within(block), means, RIDGE))
        for offset, total in ((self.cls_offset, sums.cls),
                              (self.patch_offset, sums.patches)):
            mean = (total / sums.images).unsqueeze(1).to(offset)
            offset.copy_(mean @ self.matrix)
        fitting.report(
            f'metric: fitted to {round(float(objects.sum()))} objects of '
            f'{int((objects > 0).sum())} classes in {sums.images} images, of which '
            f'{sums.masked} carry masks')

    def patches(self, tokens: Tensor) -> Tensor:
        """Patches, or means of patches, (B, L, T, C), in the space: single precision.
        """
        rows = tokens.float().transpose(0, 1)
        with torch.autocast(tokens.device.type, enabled=False):
            mapped = torch.baddbmm(
                self.patch_offset, rows.flatten(1, 2), self.matrix, beta=-1)
        return mapped.view_as(rows).transpose(0, 1)

    def forward(self, features: TokenGrid | ViTFeatures) -> TokenGrid:
        """CLS and patches of B images in the space: single precision."""
        count = features.tokens.shape[2] - 1
        offset = torch.cat(
            [self.cls_offset, self.patch_offset.expand(-1, count, -1)], dim=1)
        with torch.autocast(offset.device.type, enabled=False):
            return TokenGrid(torch.stack([
                torch.baddbmm(offset, tokens.float(), self.matrix, beta=-1)
                for tokens in features.tokens]), features.grid)
