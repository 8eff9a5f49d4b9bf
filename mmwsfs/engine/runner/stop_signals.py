from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import Any


class StopSignals:
    """While it is entered, SIGINT and SIGTERM let a step of training end.

    Where there is no step to end (``deferring`` is false) they end the process at once,
    and so does a second SIGINT, Ctrl-C twice. Exit statuses are those of a shell, 130
    and 143. A second SIGTERM changes nothing: launchers send it to every process of a
    job, some more than once, and SIGKILL later.

    Attributes:
        deferring: whether someone will look at ``requested`` soon.
        requested: the signal that came, 0 if none did.
    """

    def __init__(self) -> None:
        self.deferring = False
        self.requested = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        # Python lets no other thread set a handler.
        if threading.current_thread() is threading.main_thread():
            self._before = {
                number: signal.signal(number, self._handle)
                for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self.deferring and not self.requested:
            self.requested = number
            _say(f'{name}: stopping after this step'
                 + '; Ctrl-C again to stop at once' * (number == signal.SIGINT))
        elif not self.requested or number == signal.SIGINT:
            _say(f'{name}: stopped at once; --resume goes on from what is written')
            sys.exit(128 + number)


def _say(line: str) -> None:
    """A handler comes in the middle of anything: print and logging are not for it."""
    os.write(2, f'{line}\n'.encode())
