"""The number format in which a frozen backbone computes."""

from __future__ import annotations

import torch
from torch import nn

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
