"""What the property tests share: a result, or one clear error in time."""
from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

# The same examples on every machine. A slow one is no fault, a hang is pytest's.
few = settings(
    derandomize=True, deadline=None, max_examples=60, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

# JSON of all kinds: also what Python writes beyond the standard.
scalars = (
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats()
    | st.text(max_size=5) | st.sampled_from(['', '0', '\0', '..', '\ud800', 'a/b.jpg']))
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.text(max_size=4), inner, max_size=3), max_leaves=6)


@contextmanager
def one_clear_error(*names: str) -> Iterator[None]:
    """Let pass an error that is meant for the user, and names one of ``names``."""
    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        # Subclasses are from the depths: UnicodeDecodeError, JSONDecodeError.
        assert type(error) in (ValueError, FileNotFoundError), repr(error)
        assert any(name in str(error) for name in names), (names, str(error))


def replaced(value: object, draw: Callable, depth: int = 0) -> object:
    """A copy of JSON in which one value, drawn, is another one, or is left out."""
    inner = (list(value) if isinstance(value, dict) else
             list(range(len(value))) if isinstance(value, list) else [])
    if not inner or (depth and draw(st.booleans())):
        return draw(anything)
    key = draw(st.sampled_from(inner))
    copy = dict(value) if isinstance(value, dict) else list(value)
    if draw(st.integers(0, 5)) == 0:
        del copy[key]
    else:
        copy[key] = replaced(copy[key], draw, depth + 1)
    return copy


def write_json(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


@st.composite
def damaged(draw: Callable, whole: bytes) -> bytes:
    """A file that is cut off, changed in some bytes, or another one."""
    kind = draw(st.sampled_from(['cut', 'changed', 'other', 'doubled']))
    if kind == 'cut':
        return whole[:draw(st.integers(0, len(whole)))]
    if kind == 'other':
        return draw(st.binary(max_size=200))
    if kind == 'doubled':
        return whole + whole
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        content[draw(st.integers(0, len(whole) - 1))] = draw(st.integers(0, 255))
    return bytes(content)
