"""What one process of several does for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from mmengine.dist import broadcast_object_list, is_main_process

from .run_error import RunError

T = TypeVar('T')


def on_main_process(function: Callable[[], T]) -> T:
    """Call a function on the main process, and give all what it returns.

    Args:
        function: its result can be pickled.

    Raises:
        RunError: that of the function, on all of them: none waits for another.
    """
    outcome: list[Any] = [None]
    if is_main_process():
        try:
            outcome = [function()]
        except RunError as error:
            outcome = [error]
    broadcast_object_list(outcome)
    if isinstance(outcome[0], RunError):
        raise outcome[0]
    return outcome[0]
