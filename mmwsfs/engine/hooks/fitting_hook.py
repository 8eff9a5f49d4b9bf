from __future__ import annotations

from functools import partial
from pathlib import Path

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmwsfs.fitting import fit_before_training, fittable_parts
from mmwsfs.registry import HOOKS

from .bare_model import bare_model


@HOOKS.register_module()
class FittingHook(Hook):
    """Says when the model's parts learn that do so before training: as it begins.

    Such are the network of an :class:`~mmwsfs.models.EnhancedLabeler`, a
    :class:`~mmwsfs.models.ClassProbe` and a
    :class:`~mmwsfs.models.DiscriminantMetric`; see
    :func:`~mmwsfs.fitting.fit_before_training`. They are part of the checkpoint: a run
    that resumes from one takes them from it.
    """

    # Behind the cache, which has to know the backbone, and what is written first.
    priority = 'BELOW_NORMAL'

    def before_train(self, runner: Runner) -> None:
        """Let them learn, unless the run resumes from a checkpoint."""
        model = bare_model(runner)
        parts = fittable_parts(model)
        if parts and runner.iter > 0:
            runner.logger.info(f"{', '.join(parts)}: as in the checkpoint")
        elif parts:
            fit_before_training(
                model, runner.train_dataloader.dataset, seed=runner.seed or 0,
                folder=Path(runner.work_dir), resume=runner._resume,
                report=partial(self._report, runner),
                precision=partial(runner.optim_wrapper.optim_context, runner.model))

    @staticmethod
    def _report(runner: Runner, line: str, scalars: dict[str, float] | None = None,
                step: int = 0) -> None:
        runner.logger.info(line)
        if scalars:
            runner.visualizer.add_scalars(scalars, step)
