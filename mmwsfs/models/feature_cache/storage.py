"""How features are kept: in half precision, or in 8 bits with a scale a token."""

from __future__ import annotations

import torch
from torch import Tensor

from mmwsfs.structures import ViTFeatures

STORAGES = ('float16', 'int8')
_TENSORS = ('tokens', 'cls_query', 'keys')


def encode(features: ViTFeatures, storage: str) -> dict[str, Tensor]:
    """Tensors to keep of one image's features.

    Args:
        features: of one image.
        storage: 'float16', or 'int8': whole numbers in -127..127 and, for every vector
            along the last axis, the factor that makes its largest value 127.
    """
    encoded = dict(grid=torch.tensor(features.grid))
    for name in _TENSORS:
        value = getattr(features, name).detach()
        if storage == 'int8':
            value = value.float()
            # Rounded before it divides, so that decoding multiplies by the same.
            scale = (value.abs().amax(dim=-1, keepdim=True) / 127).half().clamp_min(
                torch.finfo(torch.half).tiny)
            encoded[f'{name}_scale'] = scale
            value = (value / scale).round().clamp_(-127, 127).to(torch.int8)
        else:
            value = value.half()
        encoded[name] = value.clone()  # else a whole batch would stay alive
    return encoded


def decode(encoded: dict[str, Tensor], device: torch.device) -> ViTFeatures:
    """Features of one image: half precision, or single where 8 bits were kept."""
    values: dict[str, Tensor] = {}
    for name in _TENSORS:
        value = encoded[name].to(device)
        scale = encoded.get(f'{name}_scale')
        if scale is not None:
            value = value.float() * scale.to(device).float()
        values[name] = value
    height, width = encoded['grid'].tolist()
    return ViTFeatures(**values, grid=(height, width))


def num_bytes(encoded: dict[str, Tensor]) -> int:
    """Bytes that the tensors take."""
    return sum(value.nbytes for value in encoded.values())
