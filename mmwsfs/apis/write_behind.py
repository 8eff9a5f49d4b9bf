"""The last prediction is written while the next one is made."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from .prediction_writer import PredictionWriter


class WriteBehind:
    """A :class:`.PredictionWriter` at work in another thread, one prediction behind.

    Args:
        writer: what writes, one prediction after the other.
    """

    def __init__(self, writer: PredictionWriter) -> None:
        self._writer = writer
        self._pool = ThreadPoolExecutor(1, thread_name_prefix='mmwsfs-write')
        self._last: Future[None] | None = None

    def write(self, image: np.ndarray, result: Mapping) -> None:
        """Have one prediction written, once the one before is.

        Args:
            image, result: as for :meth:`.PredictionWriter.write`; the arrays have to
                stay as they are.

        Raises:
            Exception: the one before could not be written.
        """
        self.wait()
        self._last = self._pool.submit(self._writer.write, image, dict(result))

    def wait(self) -> None:
        """Wait until the last one is written.

        Raises:
            Exception: it could not be.
        """
        if self._last is not None:
            last, self._last = self._last, None
            last.result()

    def close(self) -> None:
        """Wait, and have the writer write what comes last."""
        self._pool.shutdown()
        self._writer.close()
