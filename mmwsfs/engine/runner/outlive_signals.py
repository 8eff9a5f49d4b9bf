from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

from torch.utils.data import DataLoader


def outlive_signals(loader: DataLoader) -> None:
    """Let a loader's workers live on until their own process ends them.

    Ctrl-C and a launcher's SIGTERM come to the workers as well. They would be gone
    before the step is done. Before they begin.
    """
    loader.worker_init_fn = _Begin(loader.worker_init_fn)


class _Begin:
    """What a worker calls first; can be pickled if ``then`` can."""

    def __init__(self, then: Callable[[int], None] | None) -> None:
        self.then = then

    def __call__(self, worker: int) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if hasattr(signal, 'sigwaitinfo'):  # not on macOS
            # Blocked here and in the threads to come, but for one that waits for it.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            threading.Thread(target=_wait, args=(os.getppid(), ), daemon=True).start()
        if self.then is not None:
            self.then(worker)


def _wait(parent: int) -> None:
    """Obey a SIGTERM of the parent alone: so it ends workers that do not end."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
