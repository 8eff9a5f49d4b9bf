"""The number format in which a frozen backbone computes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from mmwsfs.registry import MODELS

DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16}


def set_dtype(backbone: nn.Module, dtype: str, frozen: bool) -> None:
    """Keep the parameters in, and so compute by, ``dtype``; buffers stay.

    Raises:
        ValueError: an unknown dtype, or a short one for a backbone that trains.
    """
    if dtype not in DTYPES:
        raise ValueError(
            f"model.backbone.dtype='{dtype}': choose one of {', '.join(DTYPES)}")
    if dtype != 'float32' and not frozen:
        raise ValueError(
            f"model.backbone.dtype='{dtype}' is for a frozen backbone: steps of "
            'training are lost in its rounding. Leave it out; --amp is for training')
    for parameter in backbone.parameters():
        parameter.data = parameter.data.to(DTYPES[dtype])


def takes_dtype(backbone: Mapping) -> bool:
    """Whether a backbone of this config is frozen and has a ``dtype`` to choose."""
    kind = backbone.get('type')
    kind = MODELS.get(kind) if isinstance(kind, str) else kind
    return kind is not None and backbone.get('frozen', True) and (
        'dtype' in inspect.signature(kind).parameters)


def has_own_dtype(backbone: nn.Module) -> bool:
    """Whether it computes in a short format of its own, whatever autocast says."""
    return any(parameter.dtype != torch.float32 for parameter in backbone.parameters())


def own_precision(backbone: nn.Module, device: torch.device) -> AbstractContextManager:
    """In which a backbone computes on a device: autocast goes past one with a short
    format of its own, so that a training under ``--amp`` and its test have the same
    features."""
    if has_own_dtype(backbone):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()
