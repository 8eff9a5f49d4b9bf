from __future__ import annotations

import time
from itertools import count
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from mmwsfs.utils.quiet import quiet_screen
from mmwsfs.utils.ranks import on_main_process
from mmwsfs.utils.run_error import RunError

from .faults import explained_faults


class CarefulRunner(Runner):
    """MMEngine's runner, with a folder of its own for every run, and clear errors.

    The folder of a run, ``WORK_DIR/TIMESTAMP``, is new: of two runs that begin in one
    second the later has the next second's. The screen is spared what only a search for
    a fault needs (:mod:`mmwsfs.utils.quiet`); the log file has it.

    Raises:
        RunError: the work dir cannot be written, or see
            :func:`~mmwsfs.engine.runner.faults.explained_faults`.
    """

    def __init__(self, model: object, work_dir: str, *args: Any,
                 cfg: Config | None = None, **kwargs: Any) -> None:
        try:
            Path(work_dir).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(work_dir, error) from error
        with explained_faults(cfg or {}, work_dir, []):
            super().__init__(model, work_dir, *args, cfg=cfg, **kwargs)

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """MMEngine's, with a quiet screen and a whole file."""
        logger = super().build_logger(*args, **kwargs)
        quiet_screen(logger)
        logger.info(f"run '{self._log_dir}': its log, with environment, config and "
                    'hooks, is there')
        return logger

    def setup_env(self, env_cfg: dict) -> None:
        """MMEngine's, then the run's folder: nothing is written before."""
        super().setup_env(env_cfg)
        self._timestamp = on_main_process(self._claim_explained)

    def _claim_explained(self) -> str:
        try:
            return self._claim()
        except OSError as error:
            raise _unwritable(self.work_dir, error) from error

    def _claim(self) -> str:
        """Make the run's folder, on the main process, and give its name."""
        return new_run_folder(Path(self.work_dir))

    def test(self) -> dict:
        """MMEngine's.

        Raises:
            RunError: see :func:`~mmwsfs.engine.runner.faults.explained_faults`.
        """
        with explained_faults(self.cfg, self.work_dir, ['test_dataloader']):
            return super().test()


def _unwritable(work_dir: str, error: OSError) -> RunError:
    return RunError(
        f"the work dir '{work_dir}' cannot be written: {error.strerror}. Choose "
        'another --work-dir')


def new_run_folder(work_dir: Path) -> str:
    """Make a folder that nobody else has; its name is the time, or a little later."""
    now = time.time()
    for seconds in count():
        name = time.strftime('%Y%m%d_%H%M%S', time.localtime(now + seconds))
        try:
            (work_dir / name).mkdir()
        except FileExistsError:
            continue
        return name
    raise AssertionError('count() does not end')
