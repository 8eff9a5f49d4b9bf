from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mmwsfs.structures import ViTFeatures


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
