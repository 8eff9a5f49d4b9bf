"""prefetch: the next results are made in another thread."""
from __future__ import annotations

import threading

import pytest

from mmwsfs.apis.prefetch import prefetch


def test_order_and_errors() -> None:
    """Every item with its own result or error, in order, whatever came before."""
    found = []
    for item, future in prefetch(lambda x: 6 // x, [1, 0, 2, 3], 2):
        try:
            found.append((item, future.result()))
        except ZeroDivisionError:
            found.append((item, None))
    assert found == [(1, 6), (0, None), (2, 3), (3, 2)]


@pytest.mark.parametrize('ahead', [1, 3])
def test_how_far_ahead(ahead: int) -> None:
    """One is made while the last is used, and not the whole list."""
    made: list[int] = []
    more = threading.Event()

    def make(item: int) -> int:
        made.append(item)
        if len(made) == 1 + ahead:
            more.set()
        return item

    results = prefetch(make, range(100), ahead)
    next(results)[1].result()
    assert more.wait(60)
    assert len(made) == 1 + ahead
    results.close()


def test_who_stops_waits_for_no_more() -> None:
    """What was not begun is never made, and no thread stays."""
    made: list[int] = []
    go = threading.Event()

    def make(item: int) -> int:
        go.wait(60)
        made.append(item)
        return item

    results = prefetch(make, range(100), 5)
    next(results)
    go.set()
    results.close()
    assert len(made) < 7
    assert not [thread for thread in threading.enumerate()
                if thread.name.startswith('mmwsfs-prefetch')]
