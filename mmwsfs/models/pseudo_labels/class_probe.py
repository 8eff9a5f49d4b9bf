from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from mmwsfs.registry import MODELS
from mmwsfs.structures import ViTFeatures

from .propagate import propagate


def standardise(maps: Tensor) -> Tensor:
    """Every map of (B, h, w) to mean 0 and deviation 1."""
    deviation, mean = torch.std_mean(maps, dim=(1, 2), keepdim=True)
    return (maps - mean) / deviation.clamp_min(1e-6)


class ProbeSums:
    """Sums over patches, all that a ridge regression needs of them.

    Attributes:
        shares: (N,), of every class, in patches.
    """

    def __init__(self, width: int, num_classes: int) -> None:
        self._total = 0.
        self._gram = torch.zeros(width, width, dtype=torch.double)
        self._cross = torch.zeros(width, num_classes, dtype=torch.double)
        self._patches = torch.zeros(width, dtype=torch.double)
        self.shares = torch.zeros(num_classes, dtype=torch.double)

    def add(self, patches: Tensor, shares: Tensor, weights: Tensor) -> None:
        """Take M patches in.

        Args:
            patches: (M, D), see :meth:`ClassProbe.patches`.
            shares: (M, N) in 0..1, every class's share of a patch.
            weights: (M,) in 0..1, how much a patch counts.
        """
        x, y, weights = (part.double().cpu() for part in (patches, shares, weights))
        weighted = x * weights.unsqueeze(1)
        self._total += float(weights.sum())
        self._gram += weighted.T @ x
        self._cross += weighted.T @ y
        self._patches += weighted.sum(dim=0)
        self.shares += weights @ y

    def centred(self) -> tuple[Tensor, Tensor]:
        """(D, D) and (D, N): the sums of products of what differs from the means."""
        mean = self._patches / max(self._total, 1e-6)
        return (self._gram - torch.outer(mean, self._patches),
                self._cross - torch.outer(mean, self.shares))


@MODELS.register_module()
class ClassProbe(BaseModule):
    """Says which of an image's objects a tag means, for classes with some masks.

    An attention map tells objects from background, not one object from another. Where
    some images of a class carry masks, a linear classifier of patches does: ridge
    regression of every class's share of a patch on the patch's tokens of some blocks,
    fitted in closed form to the images with masks. It helps to label the queries of
    *training*; a test's classes are new, and it knows none of them.

    Args:
        num_classes (int): of the training data set, numbered 1..num_classes.
        layers (Sequence[int]): blocks of the backbone, from 0. Defaults to (9, 11).
        embed_dims (int): width of the backbone, C. Defaults to 384.
        ridge (float): penalty of the squared weights. Defaults to 3.
        weight (float): of the probe's map beside the other one. Defaults to 2.
        affinity (float): sharpness with which the probe's map is spread over patches of
            like keys, see :func:`propagate`. Defaults to 20.
        offset (float): in deviations above the mean, what counts as foreground.
            Defaults to 0.5.
        init_cfg (dict, optional): Defaults to None.
    """

    def __init__(self,
                 num_classes: int,
                 layers: Sequence[int] = (9, 11),
                 embed_dims: int = 384,
                 ridge: float = 3.,
                 weight: float = 2.,
                 affinity: float = 20.,
                 offset: float = 0.5,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.layers = list(layers)
        self.ridge = ridge
        self.weight = weight
        self.affinity = affinity
        self.offset = offset
        width = len(self.layers) * embed_dims
        self.register_buffer('planes', torch.zeros(num_classes, width))
        self.register_buffer('known', torch.zeros(num_classes, dtype=torch.bool))

    def patches(self, image: ViTFeatures) -> Tensor:
        """Tokens of the blocks, each of length 1: (B, hw, len(layers) * C)."""
        tokens = image.tokens[:, self.layers, 1:].float()
        return F.normalize(tokens, dim=-1).transpose(1, 2).flatten(2)

    def fit(self, sums: ProbeSums) -> None:
        """Learn from the patches of images that carry masks."""
        gram, cross = sums.centred()
        gram.diagonal().add_(self.ridge)
        self.planes.copy_(torch.linalg.solve(gram, cross).T)
        self.known.copy_(sums.shares > 0)

    def combine(self, scores: Tensor, image: ViTFeatures, classes: Tensor) -> Tensor:
        """Scores of B images, of which some are of classes with masks.

        Args:
            scores: (B, h, w), any range.
            image: features of B images.
            classes: (B,) int, 1..num_classes.

        Returns:
            Tensor: (B, h, w); of classes without masks ``scores`` itself, of the others
            foreground above 0.
        """
        with torch.autocast(scores.device.type, enabled=False):
            own = self.planes[classes - 1]
            found = (self.patches(image) @ own.unsqueeze(-1)).transpose(1, 2)
            found = propagate(found.unflatten(-1, image.grid), image, self.affinity)
            both = standardise(
                standardise(scores.float()) + self.weight * standardise(found[:, 0]))
        known = self.known[classes - 1][:, None, None]
        return torch.where(known, both - self.offset, scores)
