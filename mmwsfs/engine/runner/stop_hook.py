from __future__ import annotations

import signal

import torch
from mmengine.dist import all_reduce, barrier
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner

from mmwsfs.engine.hooks import CheckpointHook

from .outlive_signals import outlive_signals
from .stop_signals import StopSignals


class StopHook(Hook):
    """Ends a training between two steps, with a checkpoint, when a signal has come.

    All ranks end after the same step, though the signal comes to them at different
    times: each step they tell each other by a single number.

    Args:
        signals: noted meanwhile.
    """

    priority = 'LOWEST'  # after the step's own checkpoint

    def __init__(self, signals: StopSignals) -> None:
        self.signals = signals

    def before_run(self, runner: Runner) -> None:
        """Let the workers of the loaders outlive the signal."""
        for loop in (runner._train_loop, runner._val_loop):
            if isinstance(loop, BaseLoop):
                outlive_signals(loop.dataloader)

    def before_train_epoch(self, runner: Runner) -> None:
        """Fitting is over; steps begin."""
        self.signals.deferring = True

    def before_val(self, runner: Runner) -> None:
        """Validation stops between two batches as well."""
        self.signals.deferring = True

    def after_train(self, runner: Runner) -> None:
        """There is nothing more to wait for."""
        self.signals.deferring = False

    def after_train_iter(self, runner: Runner, batch_idx: int,
                         data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """Stop after this step, if a signal has come to any rank."""
        number = self._requested()
        if number:
            # The loop counts the step after its hooks.
            runner.train_loop._iter += 1
            self._stop(runner, number)

    def after_val_iter(self, runner: Runner, batch_idx: int,
                       data_batch: dict | None = None,
                       outputs: list | None = None) -> None:
        """Stop: the run that resumes validates again."""
        number = self._requested()
        if number:
            self._stop(runner, number)

    def _requested(self) -> int:
        number = torch.tensor(self.signals.requested, dtype=torch.int32)
        all_reduce(number, 'max')
        return int(number)

    @staticmethod
    def _stop(runner: Runner, number: int) -> None:
        hook = next(
            (hook for hook in runner.hooks if isinstance(hook, CheckpointHook)), None)
        kept = ('without a CheckpointHook nothing is kept' if hook is None
                else hook.write_for_stop(runner))
        runner.logger.warning(
            f'stopped by {signal.Signals(number).name} at iteration {runner.iter}; '
            f'{kept}')
        barrier()  # a rank that ends first would end the others
        raise SystemExit(128 + number)
