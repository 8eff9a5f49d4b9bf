"""Products of matrices by oneDNN where PyTorch's choice, MKL, is slow."""

from __future__ import annotations

import platform
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


@cache
def mkl_is_slow() -> bool:
    """Whether this is a processor of AMD's, on which MKL's products in single precision
    take twice the time of oneDNN's, and PyTorch has both."""
    try:
        processor = Path('/proc/cpuinfo').read_text(errors='replace')
    except OSError:
        processor = platform.processor()
    return ('AuthenticAMD' in processor and torch.backends.mkl.is_available()
            and torch.backends.mkldnn.is_available()
            and hasattr(torch.ops.mkldnn, '_linear_pointwise'))


class _OneDNNLinear(TorchFunctionMode):
    """Computes ``F.linear`` in single precision by oneDNN; all else as ever."""

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (),
                           kwargs: dict | None = None) -> Any:
        if func is F.linear and not kwargs and all(
                value is None or value.dtype is torch.float32 for value in args):
            return _linear(*args)
        return func(*args, **(kwargs or {}))


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, 'none', [], '')


def onednn_linear(device: torch.device) -> AbstractContextManager:
    """In which a forward pass without gradients computes its ``F.linear`` on a device:
    by oneDNN where that is quicker. Results are equal but for rounding.

    What is traced or compiled is left as it is, and what autocast is to compute.
    """
    if (device.type != 'cpu' or torch.is_grad_enabled() or not mkl_is_slow()
            or torch.is_autocast_enabled('cpu') or torch.jit.is_tracing()
            or torch.compiler.is_compiling()):
        return nullcontext()
    return _OneDNNLinear()
