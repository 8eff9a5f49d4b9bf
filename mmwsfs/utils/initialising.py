"""Building a model whose weights are read anyway: in no time, and without a word."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from logging import LogRecord
from typing import Any

from mmengine.logging import MMLogger
from torch.overrides import TorchFunctionMode

# What MMEngine logs of every parameter, and of every file.
_REPORT = re.compile(r'\n.+ - torch\.Size|Loads checkpoint by ')


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


@contextmanager
def quiet() -> Iterator[None]:
    """MMEngine does not log how each parameter was initialised; all else it does.

    Nor does mmseg's loss warn of a default that is none of the caller's.
    """
    def kept(record: LogRecord) -> bool:
        return not _REPORT.match(record.getMessage())

    logger = MMLogger.get_current_instance()
    logger.addFilter(kept)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', 'Default ``avg_non_ignore``')
            yield
    finally:
        logger.removeFilter(kept)
