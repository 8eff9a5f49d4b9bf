"""What MMEngine writes beside tensors and values: the log's history, in NumPy.

MMEngine's own list of what may be made as a checkpoint is read has ``getattr``, which
reaches into anything, and NumPy's classes, which take bytes of the file for addresses:
a file can end or take over the process. Here every name of that list stands for
something that makes numbers alone. What comes out is what was written.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any, SupportsIndex

import numpy as np
from mmengine.logging import HistoryBuffer


class _DType:
    """Takes ``numpy.dtype``'s place: numbers and truth values, no objects."""

    def __init__(self, kind: str, align: object = False, copy: object = True) -> None:
        if not re.fullmatch('b1|[iu][1248]|f[248]', kind):
            raise ValueError(f'{kind} is no type of numbers')
        self.value = np.dtype(kind)

    def __setstate__(self, state: tuple) -> None:
        self.value = self.value.newbyteorder(state[1])


class _Array(np.ndarray):
    """Takes ``numpy.ndarray``'s place; is written again as an array of NumPy's own."""

    def __new__(cls, *args: object) -> _Array:
        return super().__new__(cls, 0)

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, content = state
        values = np.frombuffer(content, dtype.value)
        values.reshape(shape)  # as many as there are places for
        plain: Any = (1, shape, values.dtype, bool(fortran), content)
        super().__setstate__(plain)

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        return np.array(self).__reduce_ex__(protocol)


class _History(HistoryBuffer):
    """Takes ``HistoryBuffer``'s place, and becomes one.

    The statistics that a file names are left out: they would be those of all others.
    """

    def __init__(self) -> None:
        super().__init__()

    def __setstate__(self, state: dict) -> None:
        self.__class__ = HistoryBuffer
        histories = {name: state[name] for name in ('_log_history', '_count_history')}
        if not all(isinstance(values, _Array) for values in histories.values()):
            raise ValueError('a history is no array of numbers')
        HistoryBuffer.__setstate__(self, dict(
            {name: np.array(values) for name, values in histories.items()},
            max_length=int(state['max_length'])))


def _array(*args: object) -> _Array:
    return _Array()


def _scalar(dtype: _DType, content: bytes) -> Any:
    return np.frombuffer(content, dtype.value).reshape(())[()]


def _statistic(owner: object, name: str) -> Callable:
    """Takes ``getattr``'s place, by which a history names its statistics."""
    found = vars(HistoryBuffer).get(name) if owner is _History else None
    if name[:1] == '_' or not inspect.isfunction(found):
        raise UnpicklingError(f'GLOBAL builtins.getattr of {name!r}')
    return found


def _no_bytes() -> bytes:
    """Takes ``bytes``'s place: so an empty array says that it has none."""
    return b''


# For read_checkpoint: what stands for which name. NumPy 1 and 2 name places otherwise.
TRAINING_OBJECTS: tuple[tuple[Callable, str], ...] = (
    (_statistic, 'builtins.getattr'),
    (_no_bytes, 'builtins.bytes'),
    (_History, f'{HistoryBuffer.__module__}.HistoryBuffer'),
    (_Array, 'numpy.ndarray'),
    (_DType, 'numpy.dtype'),
    *((function, f'numpy.{core}.multiarray.{name}') for core in ('core', '_core')
      for function, name in ((_array, '_reconstruct'), (_scalar, 'scalar'))),
)
