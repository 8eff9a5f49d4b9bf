from __future__ import annotations

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from mmwsfs.registry import MODELS
from mmwsfs.structures import ViTFeatures

from .propagate import propagate


def head_maps(support: ViTFeatures, image: ViTFeatures) -> Tensor:
    """Cosine, per head, of a support's CLS query with the patch keys of an image.

    Args:
        support: features of B images.
        image: features of B images of h x w patches, of the supports themselves or
            others.

    Returns:
        Tensor: (B, H, h, w) in -1..1.
    """
    cls_query = F.normalize(support.queries[:, :, :1].float(), dim=-1)
    keys = F.normalize(image.keys[:, :, 1:].float(), dim=-1)
    return (cls_query * keys).sum(dim=-1).unflatten(-1, image.grid)


def upsample(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, h, w) -> (B, *size), bilinear."""
    return F.interpolate(
        maps.unsqueeze(1), size, mode='bilinear', align_corners=True).squeeze(1)


@MODELS.register_module()
class AttentionLabeler(BaseModule):
    """Pseudo-masks from the last attention of the backbone (section 3.3 of the paper).

    The cosine, per head, of the *support's* CLS query with the patch keys of an image,
    averaged over the heads: with the support's own keys its pseudo-mask, with the
    query's keys the query's.

    Args:
        threshold (float): of the map in 0..1. The paper's 0.4 belongs to DINO
            ViT-S/8; ignored where ``adaptive`` is given. Defaults to 0.4.
        adaptive (float, optional): a; the threshold is each map's own mean + a * std,
            for backbones whose cosines have another range. Defaults to None.
        affinity (float, optional): sharpness with which the head maps are spread over
            patches of like keys first (see :func:`propagate`). Defaults to None.
        refine (dict, optional): lets the soft map follow the image's colours, a
            :class:`PixelAdaptiveRefinement`. Defaults to None.
    """

    def __init__(self,
                 threshold: float = 0.4,
                 adaptive: float | None = None,
                 affinity: float | None = None,
                 refine: dict | None = None) -> None:
        super().__init__()
        self.threshold = threshold
        self.adaptive = adaptive
        self.affinity = affinity
        self.refine = MODELS.build(refine) if refine else None

    def maps(self, support: ViTFeatures, image: ViTFeatures) -> Tensor:
        """Head maps, (B, H, h, w) in -1..1, spread if ``affinity`` is given."""
        maps = head_maps(support, image)
        if self.affinity is None:
            return maps
        with torch.autocast(maps.device.type, enabled=False):
            return propagate(maps, image, self.affinity)

    def merge(self, maps: Tensor) -> Tensor:
        """Head maps, (B, H, h, w), as scores of foreground, (B, h, w)."""
        return maps.mean(dim=1)

    def soften(self, scores: Tensor, size: tuple[int, int]) -> Tensor:
        """Scores, (B, h, w), as a soft map, (B, *size) in 0..1."""
        return (upsample(scores, size) + 1) / 2

    def finish(self, scores: Tensor, thumbnail: Tensor | None,
               size: tuple[int, int]) -> Tensor:
        """Scores, (B, h, w), as a soft map, (B, *size), refined if asked for.

        Raises:
            ValueError: the map is to be refined, but the features carry no colours.
        """
        if self.refine is None:
            return self.soften(scores, size)
        if thumbnail is None:
            raise ValueError(
                'labeler.refine needs the images as features.thumbnail, which the '
                'backbone does not give: take a DINOVisionTransformer, or set '
                'labeler.refine=None')
        soft = self.soften(scores, tuple(thumbnail.shape[-2:]))
        return upsample(self.refine(soft, thumbnail), size)

    def binarise(self, soft: Tensor) -> Tensor:
        """Soft maps, (B, H, W), above the threshold: (B, H, W) bool."""
        if self.adaptive is None:
            return soft > self.threshold
        pixels = soft.flatten(1)
        threshold = pixels.mean(dim=1) + self.adaptive * pixels.std(dim=1)
        return soft > threshold[:, None, None]

    def scores(self, support: ViTFeatures, image: ViTFeatures,
               classes: Tensor | None = None) -> Tensor:
        """(B, h, w), of B images against as many supports.

        Args:
            support: features of the supports.
            image: features of the images.
            classes: (B,) int, the class of each pair, for labelers that know some of
                the training classes. Given for the targets of training alone.
        """
        return self.merge(self.maps(support, image))

    def soft_map(self, support: ViTFeatures, image: ViTFeatures, size: tuple[int, int],
                 classes: Tensor | None = None) -> Tensor:
        """(B, *size) in 0..1, of B images against as many supports."""
        scores = self.scores(support, image, classes)
        return self.finish(scores, image.thumbnail, size)

    def forward(self, support: ViTFeatures, image: ViTFeatures, size: tuple[int, int],
                classes: Tensor | None = None) -> Tensor:
        """Pseudo-masks, (B, *size) bool: the soft map above the threshold."""
        return self.binarise(self.soft_map(support, image, size, classes))
