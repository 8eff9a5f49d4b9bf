from __future__ import annotations

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from mmwsfs.registry import MODELS
from mmwsfs.structures import ViTFeatures


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


def propagate(maps: Tensor, image: ViTFeatures, sharpness: float) -> Tensor:
    """Let patches of like keys take like values: one step of a random walk.

    A patch takes the mean of the whole image's values, weighted by the softmax of
    ``sharpness`` times its cosine with each patch's key, mean over the heads.

    Args:
        maps: (B, C, h, w), of B images.
        image: their features.
        sharpness: 0 is the image's mean everywhere; the larger, the closer must keys
            be.

    Returns:
        Tensor: (B, C, h, w), within the range of ``maps``.
    """
    keys = F.normalize(image.keys[:, :, 1:].float(), dim=-1)
    heads = keys.shape[1]
    keys = keys.transpose(1, 2).flatten(2)
    affinity = (keys @ keys.transpose(1, 2) * (sharpness / heads)).softmax(dim=-1)
    spread = affinity @ maps.flatten(2).transpose(1, 2)
    return spread.transpose(1, 2).unflatten(-1, image.grid)


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

    def soften(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        """Head maps, (B, H, h, w), as one soft map, (B, *size) in 0..1."""
        return (upsample(maps.mean(dim=1), size) + 1) / 2

    def finish(self, maps: Tensor, thumbnail: Tensor | None,
               size: tuple[int, int]) -> Tensor:
        """Head maps, (B, H, h, w), as a soft map, (B, *size), refined if asked for.

        Raises:
            ValueError: the map is to be refined, but the features carry no colours.
        """
        if self.refine is None:
            return self.soften(maps, size)
        if thumbnail is None:
            raise ValueError(
                'labeler.refine needs the images as features.thumbnail, which the '
                'backbone does not give: take a DINOVisionTransformer, or set '
                'labeler.refine=None')
        soft = self.soften(maps, tuple(thumbnail.shape[-2:]))
        return upsample(self.refine(soft, thumbnail), size)

    def binarise(self, soft: Tensor) -> Tensor:
        """Soft maps, (B, H, W), above the threshold: (B, H, W) bool."""
        if self.adaptive is None:
            return soft > self.threshold
        pixels = soft.flatten(1)
        threshold = pixels.mean(dim=1) + self.adaptive * pixels.std(dim=1)
        return soft > threshold[:, None, None]

    def soft_map(self, support: ViTFeatures, image: ViTFeatures,
                 size: tuple[int, int]) -> Tensor:
        """(B, *size) in 0..1, of B images against as many supports."""
        return self.finish(self.maps(support, image), image.thumbnail, size)

    def forward(self, support: ViTFeatures, image: ViTFeatures,
                size: tuple[int, int]) -> Tensor:
        """Pseudo-masks, (B, *size) bool: the soft map above the threshold."""
        return self.binarise(self.soft_map(support, image, size))
