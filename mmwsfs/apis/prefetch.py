"""The next thing is made while the last one is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar('Given')
Made = TypeVar('Made')


def prefetch(function: Callable[[Given], Made], items: Iterable[Given],
             ahead: int) -> Iterator[tuple[Given, Future[Made]]]:
    """Call a function for item after item in another thread, some items ahead.

    Args:
        function: what is called; one call at a time.
        items: what for.
        ahead: at most so many results wait to be taken, beside the one in the making.

    Yields:
        tuple: an item, and the future of what the function makes of it, which raises
        what the function raised.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix='mmwsfs-prefetch')
    waiting: deque[tuple[Given, Future[Made]]] = deque()
    try:
        for item in items:
            waiting.append((item, pool.submit(function, item)))
            if len(waiting) > ahead:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:  # also where nobody asks for the rest
        pool.shutdown(wait=True, cancel_futures=True)
