"""Maps of patches: from attention, spread over an image, brought to one scale."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

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
    cls_query = F.normalize(support.cls_query.float(), dim=-1).unsqueeze(2)
    keys = F.normalize(image.keys.float(), dim=-1)
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
    keys = F.normalize(image.keys.float(), dim=-1)
    heads = keys.shape[1]
    keys = keys.transpose(1, 2).flatten(2)
    affinity = (keys @ keys.transpose(1, 2) * (sharpness / heads)).softmax(dim=-1)
    spread = affinity @ maps.flatten(2).transpose(1, 2)
    return spread.transpose(1, 2).unflatten(-1, image.grid)


def standardise(maps: Tensor) -> Tensor:
    """Every map of (..., h, w) to mean 0 and deviation 1, single precision."""
    maps = maps.float()
    deviation, mean = torch.std_mean(maps, dim=(-2, -1), keepdim=True)
    return (maps - mean) / deviation.clamp_min(1e-6)


def upsample(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, h, w) -> ``(B, *size)``, bilinear."""
    return F.interpolate(
        maps.unsqueeze(1), size, mode='bilinear', align_corners=True).squeeze(1)
