"""Building a model whose weights are read anyway: in no time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch.overrides import TorchFunctionMode


class _WithoutInit(TorchFunctionMode):
    """In this thread the functions of ``torch.nn.init`` leave tensors as they are."""

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (),
                           kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, '__module__', None) == 'torch.nn.init':
            return kwargs['tensor'] if 'tensor' in kwargs else args[0]
        return func(*args, **kwargs)


def without_init(when: bool = True) -> AbstractContextManager[Any]:
    """Modules made in the block keep whatever memory holds in most of their weights.

    Args:
        when: False for a block that initialises as ever.
    """
    return _WithoutInit() if when else nullcontext()
