from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.optim import AmpOptimWrapper as _AmpOptimWrapper
from mmengine.optim import OptimWrapper
from torch import nn

from mmwsfs.registry import OPTIM_WRAPPERS


class CPUAmpOptimWrapper(OptimWrapper):
    """Mixed precision on a CPU: bfloat16, which needs no loss scaling."""

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass under autocast to bfloat16."""
        with super().optim_context(model), torch.autocast('cpu', torch.bfloat16):
            yield


@OPTIM_WRAPPERS.register_module(name='AmpOptimWrapper')
def build_amp_optim_wrapper(**kwargs: Any) -> OptimWrapper:
    """MMEngine's ``AmpOptimWrapper``, or its like for a machine without accelerator.

    MMEngine's own refuses to work on a CPU; with this one ``--amp`` works anywhere,
    with mmseg's tools too. On a CPU ``loss_scale`` and ``dtype`` have no effect.
    """
    if get_device() != 'cpu':
        return _AmpOptimWrapper(**kwargs)
    for key in ('loss_scale', 'dtype', 'use_fsdp'):
        kwargs.pop(key, None)
    return CPUAmpOptimWrapper(**kwargs)
