"""A time limit for tests of what must not hang."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def deadline(seconds: int = 600) -> Iterator[None]:
    """Fail instead of hanging."""
    def stop(*args) -> None:
        raise TimeoutError(f'still running after {seconds} s')
    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
