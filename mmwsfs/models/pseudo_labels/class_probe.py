from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from mmwsfs.models.patch_sums import PatchSums
from mmwsfs.registry import MODELS
from mmwsfs.structures import Fitting, ViTFeatures

from .maps import propagate, standardise

RIDGE = 3.  # penalty of the squared weights
WEIGHT = 2.  # of the probe's map beside the other one
SHARPNESS = 20.  # with which the probe's map is spread over patches of like keys
OFFSET = 0.5  # in deviations above the mean, what counts as foreground


@MODELS.register_module()
class ClassProbe(BaseModule):
    """Says which of an image's objects a tag means, for classes with some masks.

    An attention map tells objects from background, not one object from another. Where
    some images of a class carry masks, a linear classifier of patches does: ridge
    regression of every class's share of a patch on the patch's tokens of some blocks,
    fitted in closed form to the images with masks before training (:meth:`fit_to`). It
    helps to label the queries of *training*; a test's classes are new, and it knows
    none of them.

    Args:
        num_classes (int): of the training data set, numbered 1..num_classes.
        num_layers (int): blocks of the backbone, L.
        embed_dims (int): width of the backbone, C.
        layers (Sequence[int], optional): blocks of the backbone, from 0, or back from
            -1, the last. Defaults to None: the last, and the one a sixth of the depth
            before it; 9 and 11 of 12, 19 and 23 of 24.
        init_cfg (dict, optional): Defaults to None.
    """

    def __init__(self,
                 num_classes: int,
                 num_layers: int,
                 embed_dims: int,
                 layers: Sequence[int] | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if layers is None:
            last = num_layers - 1
            layers = sorted({last - num_layers // 6, last})
        self.layers = list(layers)
        width = len(self.layers) * embed_dims
        self.register_buffer('planes', torch.zeros(num_classes, width))
        self.register_buffer('known', torch.zeros(num_classes, dtype=torch.bool))

    def patches(self, image: ViTFeatures) -> Tensor:
        """Tokens of the blocks, each of length 1: (B, hw, len(layers) * C)."""
        tokens = image.tokens[:, self.layers, 1:].float()
        return F.normalize(tokens, dim=-1).transpose(1, 2).flatten(2)

    @torch.no_grad()
    def fit_to(self, fitting: Fitting) -> None:
        """Learn from the patches of the images that carry masks.

        Raises:
            ValueError: the training data have more classes.
        """
        images = fitting.images
        num_classes, width = self.planes.shape
        highest = max(max(numbers) for numbers in images.classes.values())
        if highest > num_classes:
            raise ValueError(
                f'the training data number their classes up to {highest}, '
                f'model.labeler.probe.num_classes is {num_classes}: set it to '
                f'{images.num_classes}')
        sums = PatchSums((width, ), num_classes)
        for name in images.masked:
            image = images[name]
            shares = torch.zeros(
                len(image.valid), num_classes, device=image.shares.device)
            shares[:, [number - 1 for number in image.classes]] = (
                image.shares / image.valid.clamp_min(1e-6)).T
            sums.add(
                self.patches(image.features)[0].double(), shares,
                image.valid.double())
        mean = sums.patches / max(sums.weight, 1e-6)
        gram = sums.gram - torch.outer(mean, sums.patches)
        gram.diagonal().add_(RIDGE)
        cross = sums.cross - torch.outer(mean, sums.shares)
        self.planes.copy_(torch.linalg.solve(gram, cross).T)
        self.known.copy_(sums.shares > 0)
        fitting.report(f'class probe: knows {int(self.known.sum())} classes')

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
            planes = self.planes[classes - 1]
            maps = (self.patches(image) @ planes.unsqueeze(-1)).transpose(1, 2)
            maps = propagate(maps.unflatten(-1, image.grid), image, SHARPNESS)
            combined = standardise(
                standardise(scores) + WEIGHT * standardise(maps[:, 0]))
        known = self.known[classes - 1][:, None, None]
        return torch.where(known, combined - OFFSET, scores)
