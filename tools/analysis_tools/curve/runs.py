"""Runs tools/run_folds.py for each point and seed, and ends it when it has to end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from mmwsfs.utils.folder_lock import FolderLock
from mmwsfs.utils.run_error import RunError

from .points import Point

RUN_FOLDS = Path(__file__).parents[2] / 'run_folds.py'


class Runs:
    """The trainings and tests of a curve.

    Args:
        work_dir: a run's is ``WORK_DIR/POINT/seedN``.
        arguments: of run_folds.py, the same for all.
        cfg_options: config options, the same for all.
        lock: of the work dir. The runs, which may outlive us, hold it as well.
    """

    def __init__(self, work_dir: Path, arguments: Sequence[str],
                 cfg_options: Sequence[str], lock: FolderLock) -> None:
        self.work_dir = work_dir
        self.arguments = arguments
        self.cfg_options = cfg_options
        self.lock = lock
        self._running: list[subprocess.Popen] = []
        self._stopped = False

    def all(self, runs: Sequence[tuple[Point, int]], jobs: int
            ) -> Iterator[tuple[tuple[Point, int], dict | RunError]]:
        """Run all, some at the same time; one that fails does not hold up the others.

        Leaving it early, as by the exception of a signal, ends what is running.

        Yields:
            tuple: point and seed, and ``table.json`` of run_folds.py, or the error,
            which names the log.
        """
        pool = ThreadPoolExecutor(jobs)
        futures = {pool.submit(self._run, *key): key for key in runs}
        try:
            for future in as_completed(futures):
                error = future.exception()
                if error is not None and not isinstance(error, RunError):
                    raise error
                yield futures[future], error or future.result()
        finally:
            self._stopped = True
            for process in self._running:
                process.terminate()
            pool.shutdown(cancel_futures=True)

    def _run(self, point: Point, seed: int) -> dict:
        folder = self.work_dir / point.name / f'seed{seed}'
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / 'run_folds.log'
        print(f'{point.name}, seed {seed}; log: {log}', flush=True)
        with log.open('ab') as file:
            begin = file.tell()
            # A session of its own: Ctrl-C comes to it through us, once.
            process = subprocess.Popen(
                [sys.executable, str(RUN_FOLDS), point.config,
                 '--work-dir', str(folder), *self.arguments,
                 '--cfg-options', *point.settings(seed, self.cfg_options)],
                stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                start_new_session=True, **self.lock.handed_on())
            self._running.append(process)
            if self._stopped:  # meanwhile
                process.terminate()
            status = process.wait()
        if status:
            said = log.read_bytes()[begin:].decode(errors='replace').strip()
            reason = said.rpartition(f'{RUN_FOLDS.name}: ')[2].splitlines()
            raise RunError(
                f'{point.name}, seed {seed} failed with status {status}: '
                f"{reason[0] if reason else 'no output'}\nlog: {log}")
        return json.loads((folder / 'table.json').read_text())
