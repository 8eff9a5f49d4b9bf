from __future__ import annotations

from pathlib import Path

from torch import nn

from mmwsfs.registry import RUNNERS
from mmwsfs.utils.folder_lock import FolderLock
from mmwsfs.utils.work_dir import remove_parts

from .careful_runner import CarefulRunner
from .faults import explained_faults
from .stop_hook import StopHook
from .stop_signals import StopSignals


@RUNNERS.register_module()
class TrainingRunner(CarefulRunner):
    """A runner that trains alone in its work dir, and can be stopped.

    It holds the lock of the work dir before it writes anything there. Ctrl-C and
    SIGTERM end a training between two steps with a checkpoint of the very iteration;
    before the first step they end it at once. mmseg's ``tools/train.py`` takes it for
    ``runner_type='mmwsfs.TrainingRunner'`` in a config.

    Raises:
        RunError: another training runs in the work dir, or it cannot be written.
    """

    _lock: FolderLock | None = None  # of the main process

    def _claim(self) -> str:
        """Lock the work dir first, and clear what a killed training left there."""
        folder = Path(self.work_dir)
        self._lock = FolderLock(folder, 'a training')
        remove_parts(folder)
        return super()._claim()

    def train(self) -> nn.Module:
        """MMEngine's.

        Raises:
            RunError: see :func:`~mmwsfs.engine.runner.faults.explained_faults`.
            SystemExit: with 130 or 143, after a signal.
        """
        try:
            with explained_faults(
                    self.cfg, self.work_dir, ['train_dataloader', 'val_dataloader']
            ), StopSignals() as signals:
                self.register_hook(StopHook(signals))
                return super().train()
        finally:
            if self._lock is not None:
                self._lock.release()
