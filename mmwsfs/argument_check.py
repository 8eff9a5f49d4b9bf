"""Values of configs, compared with the types of the arguments that they are given to.

Else a number in quotation marks, or a list for a number, is told by whatever stumbles
over it first, deep within NumPy or PyTorch.
"""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, TypeVar

Kind = TypeVar('Kind', bound=type)


def _is_integer(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    number: Any = value
    return isinstance(value, Real) and not isinstance(value, bool) and (
        -math.inf < number < math.inf)


def _are(test: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, (list, tuple)) and all(map(test, value))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_dict(value: object) -> bool:
    return isinstance(value, Mapping)


# Annotation -> what it is called in a message, and whether a value is one.
_KINDS: dict[str, tuple[str, Callable[[object], bool]]] = {
    'None': ('None', lambda value: value is None),
    'bool': ('True or False', lambda value: isinstance(value, bool)),
    'int': ('a whole number', _is_integer),
    'float': ('a number', _is_number),
    'str': ('a text', _is_text),
    'dict': ('a dict', _is_dict),
    'Sequence[int]': ('a list of whole numbers', _are(_is_integer)),
    'Sequence[float]': ('a list of numbers', _are(_is_number)),
    'Sequence[str]': ('a list of texts', _are(_is_text)),
    'Sequence[dict]': ('a list of dicts', _are(_is_dict)),
}
# Arguments that are a size or sizes, wherever they stand: 1 at least.
_SIZES = re.compile(
    'img_size|patch_size|(in_|out_)?channels|kernels|embed_dims|num_(layers|heads)')
_COUNTS = re.compile('num_registers|steps|interval|num_pictures')  # 0 at least
# Arguments of which the class itself says what they may be.
_OWN = ('fold', 'FewShotDataset.img_size', 'masks', 'mask_seed', 'support_masks',
        'supervision')
_LARGEST = 2**31 - 1


def _check(name: str, argument: str, annotation: object, value: Any) -> None:
    names = [part.strip() for part in f'{annotation}'.split('|')]
    kinds = [_KINDS[kind] for kind in names if kind in _KINDS]
    if len(kinds) == len(names) and not any(fits(value) for _, fits in kinds):
        raise ValueError(
            f'{name}: {argument}={value!r} must be '
            f"{' or '.join(called for called, _ in kinds)}")
    least = (1 if _SIZES.fullmatch(argument) else 0 if _COUNTS.fullmatch(argument)
             else None)
    if least is None or value is None:
        return
    numbers = value if isinstance(value, (list, tuple)) else [value]
    if not numbers or not all(least <= number <= _LARGEST for number in numbers
                              if _is_number(number)):
        raise ValueError(
            f'{name}: {argument}={value!r} must be at least {least} and not too large')


def check_arguments(kind: Kind) -> Kind:
    """Make a class compare what it is given with the annotations of its ``__init__``.

    Annotations that are not of the simple kinds above are left alone, and so is a value
    that is the argument's default. What is no argument Python tells by itself. The
    error is a ValueError that names the class, the argument and the value.
    """
    init = kind.__dict__.get('__init__')
    if init is None:
        return kind
    signature = inspect.signature(init)

    @functools.wraps(init)
    def checked(self: object, *args: object, **kwargs: object) -> None:
        try:
            given = signature.bind(self, *args, **kwargs).arguments
        except TypeError:  # init itself says it better
            given = {}
        for argument, value in given.items():
            parameter = signature.parameters[argument]
            if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) or (
                    value is parameter.default):
                continue
            if argument not in _OWN and f'{kind.__name__}.{argument}' not in _OWN:
                _check(kind.__name__, argument, parameter.annotation, value)
        init(self, *args, **kwargs)

    setattr(kind, '__init__', checked)  # noqa: B010  (mypy knows no other way)
    return kind
