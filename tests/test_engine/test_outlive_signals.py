"""Workers of a data loader live until their own process ends them."""

from __future__ import annotations

import signal
import subprocess
import time

import pytest
from torch.utils.data import DataLoader

from mmwsfs.engine.runner.outlive_signals import outlive_signals


@pytest.mark.skipif(
    not hasattr(signal, 'sigwaitinfo'), reason='macOS does not tell who sends a signal')
def test_a_launchers_signals() -> None:
    """Those that are sent to every process of a job do not end a worker."""
    loader = DataLoader(range(100), num_workers=1)
    outlive_signals(loader)
    batches = iter(loader)
    assert next(batches) == 0
    worker, = batches._workers
    for name in ('TERM', 'INT', 'TERM'):
        subprocess.run(['kill', f'-{name}', str(worker.pid)], check=True)
    assert [int(batch) for batch in batches] == list(range(1, 100))

    batches = iter(loader)
    next(batches)
    worker, = batches._workers
    worker.terminate()  # by its own process
    for _ in range(600):
        if not worker.is_alive():
            break
        time.sleep(0.1)
    assert worker.exitcode == 0


def test_what_a_worker_did_first_it_still_does() -> None:
    """The loader's own ``worker_init_fn``, such as MMEngine's seeds, is called."""
    def begin(worker: int) -> None:
        raise ValueError(f'worker {worker} begins')

    loader = DataLoader(range(4), num_workers=1, worker_init_fn=begin)
    outlive_signals(loader)
    with pytest.raises(ValueError, match='worker 0 begins'):
        next(iter(loader))
