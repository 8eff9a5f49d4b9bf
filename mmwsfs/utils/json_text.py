from __future__ import annotations

import json


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f'an object has the key {twice!r} twice')
    return values


def _no_number(name: str) -> None:
    raise ValueError(f'it holds {name}, which is no number of JSON')


def parse_json(text: str, any_float: bool = False) -> object:
    """Parse JSON, as strictly as the standard has it.

    Python's own parser takes the last of two values of one key, and NaN for a number.

    Args:
        text: the JSON.
        any_float: let NaN and Infinity pass, for files of whose numbers few are read.

    Raises:
        ValueError: it is none, is nested too deeply, or has a key twice; the message
            says where, but not in which file.
    """
    try:
        return json.loads(
            text, object_pairs_hook=_unique,
            parse_constant=float if any_float else _no_number)
    except RecursionError:
        raise ValueError('it is nested too deeply') from None
