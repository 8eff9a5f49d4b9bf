from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook as _CheckpointHook
from mmengine.runner import BaseLoop, IterBasedTrainLoop, Runner

from mmwsfs.registry import HOOKS
from mmwsfs.utils.checkpoint_file import read_checkpoint
from mmwsfs.utils.ranks import on_main_process
from mmwsfs.utils.run_error import RunError
from mmwsfs.utils.state_dict import invalid_values
from mmwsfs.utils.training_objects import TRAINING_OBJECTS
from mmwsfs.utils.whole_backend import WHOLE
from mmwsfs.utils.work_dir import last_checkpoint, point_to

from .bare_model import bare_model

_VALIDATED = 'last_validation'  # of the message hub; 'val...' would be logged


class _RemovesLater:
    """A file backend that removes nothing until it is told to."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._paths: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self._paths.append(path)

    def flush(self) -> None:
        """Remove what was to be removed."""
        for path in self._paths:
            self._backend.remove(path)
        self._paths.clear()


@HOOKS.register_module()
class CheckpointHook(_CheckpointHook):
    """MMEngine's, with checkpoints that a kill, a full disk or NaN does not cost.

    - A checkpoint is written whole or not at all, and an old one is removed after that.
    - ``last_checkpoint`` names a file of the folder, which may be renamed and copied:
      a run resumes from what lies in its own work dir. Where that is damaged it resumes
      from the one before, with a warning. The best checkpoint is known by its name too.
    - A checkpoint says whether validation came after it. A run that was stopped between
      the two validates as it resumes, so that its best checkpoint is that of a run that
      was not stopped.
    - Weights that are NaN or infinite are not written.
    - ``meta['selection']`` of a checkpoint says by what it was chosen, for
      :func:`~mmwsfs.evaluation.selection.chosen_on`.

    Checkpoints of another ``out_dir`` than the work dir are resumed from by their path,
    as in MMEngine, and written whole where that is a local folder.

    Args:
        **kwargs: MMEngine's arguments.
    """

    backend_args: dict | None
    file_backend: Any

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._in_work_dir = self.out_dir is None
        if '://' not in str(self.out_dir) and not (
                self.backend_args or self.file_client_args):
            self.backend_args = dict(backend=WHOLE)
        self.last_step: int | None = None  # of the last checkpoint that was written
        self._best = False  # what is being written is the best one
        self._outdated = False  # the last checkpoint does not know of the validation

    # ------------------------------------------------------------ resuming
    def before_run(self, runner: Runner) -> None:
        """Choose the checkpoint to resume from, and see that it can be read.

        Raises:
            RunError: it cannot, on all ranks.
        """
        training = isinstance(runner._train_loop, BaseLoop)
        if (not training or runner._has_loaded or not runner._resume
                or not self._in_work_dir):
            return
        # What MMEngine resumes from.
        runner._load_from = on_main_process(lambda: self._choose(runner))

    def _choose(self, runner: Runner) -> str | None:
        folder = Path(runner.work_dir)
        given = runner._load_from
        if given is None or Path(given).absolute().parent != folder:
            # Where a training began is no place to go on from.
            last = last_checkpoint(folder, self.filename_tmpl)
            given = given if last is None else str(last)
        if given is None:
            (folder / 'last_checkpoint').unlink(missing_ok=True)  # MMEngine follows it
            runner.logger.warning(
                f"'{folder}' holds no checkpoint to resume from: training begins anew")
        elif '://' not in given:
            try:
                read_checkpoint(
                    Path(given).expanduser(), known=TRAINING_OBJECTS)
            except (OSError, ValueError) as error:
                raise RunError(str(error)) from error
        return given

    def before_train(self, runner: Runner) -> None:
        """Find the files of a resumed run, and validate where that is owed."""
        hub = runner.message_hub
        if runner.iter > 0 and self._in_work_dir:
            for key, value in list(hub.runtime_info.items()):
                if key.startswith(('best_ckpt', 'last_ckpt')):
                    # Where the run was then: perhaps another folder, not to be touched.
                    hub.update_info(key, str(Path(runner.work_dir) / Path(value).name))
        super().before_train(runner)
        self.file_backend = _RemovesLater(self.file_backend)
        if runner.iter > 0:
            self.last_step = self._step(runner)
            self.last_ckpt = hub.get_info('last_ckpt')
            if self._validation_due(runner) and hub.get_info(
                    _VALIDATED) != runner.iter:
                runner.logger.info(
                    'validation, which the run did not come to before it was stopped')
                runner.val_loop.run()

    def _step(self, runner: Runner) -> int:
        """Steps or epochs that are done, between two of them."""
        return runner.epoch if self.by_epoch else runner.iter

    @staticmethod
    def _validation_due(runner: Runner) -> bool:
        """Whether MMEngine's loop validates after the step or epoch just done."""
        loop = runner.train_loop
        if runner.val_loop is None:
            return False
        loop._decide_current_val_interval()
        done, last = (
            (loop.iter, loop.max_iters) if isinstance(loop, IterBasedTrainLoop)
            else (loop.epoch, loop.max_epochs))
        return done >= loop.val_begin and (
            done % loop.val_interval == 0 or done == last)

    # ------------------------------------------------------------ writing
    def after_val_epoch(self, runner: Runner, metrics: dict) -> None:
        """Keep the best checkpoint, and note in the last one that validation came."""
        if not isinstance(runner._train_loop, BaseLoop):
            return  # no training
        self._require_finite(runner, runner.iter)
        runner.message_hub.update_info(_VALIDATED, runner.iter)
        self._outdated = self.last_step == self._step(runner)
        super().after_val_epoch(runner, metrics)
        self.file_backend.flush()
        if self._outdated:
            self.write(runner)

    def write(self, runner: Runner) -> None:
        """Write a checkpoint between two steps, or epochs."""
        self._save_checkpoint_with_step(
            runner, self._step(runner), dict(epoch=runner.epoch, iter=runner.iter))

    def write_for_stop(self, runner: Runner) -> str:
        """Write where the training is now, unless that is written; say what is kept."""
        # MMEngine begins an epoch again that it resumes in the middle.
        if isinstance(runner.train_loop, IterBasedTrainLoop) and (
                self.last_step != self._step(runner)):
            self.write(runner)
        if self.last_ckpt is None:
            return 'there is no checkpoint yet'
        return f"--resume goes on from '{self.last_ckpt}'"

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """Know of it as it is written."""
        self._best = True
        super()._save_best_checkpoint(runner, metrics)
        self._best = False

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note by what the checkpoint is chosen."""
        note = dict(by='none', last=checkpoint['meta']['iter'] >= runner.max_iters)
        if self._best:
            dataset = runner.val_dataloader.dataset
            info = getattr(dataset, 'metainfo', {})
            names = info.get('classes') or ()
            choice = getattr(dataset, 'choice', None)
            note = dict(
                by=getattr(choice, 'selection', 'unknown'),
                classes=[names[number - 1] for number in info.get('class_ids', ())])
        checkpoint['meta']['selection'] = note

    def _save_checkpoint_with_step(self, runner: Runner, step: int,
                                   meta: dict) -> None:
        """Write first, then remove: MMEngine does it the other way round."""
        self._best = False  # with the best one its last, which knows of it now
        self._require_finite(runner, meta['iter'])
        self.file_backend.flush()  # the best one has been written by now
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        hub = runner.message_hub
        hub.update_info('last_ckpt', self.last_ckpt)
        if self.max_keep_ckpts > 0:
            steps = [*(kept for kept in self.keep_ckpt_ids if kept != step), step]
            # With those too many: a resumed run removes what a killed one could not.
            hub.update_info('keep_ckpt_ids', steps)
        runner.save_checkpoint(
            self.out_dir, name, self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler, meta=meta,
            by_epoch=self.by_epoch, backend_args=self.backend_args, **self.args)
        if is_main_process():
            point_to(self.last_ckpt, Path(runner.work_dir))
        if self.max_keep_ckpts > 0:
            for old in steps[:-self.max_keep_ckpts]:
                path = self.file_backend.join_path(
                    self.out_dir, self.filename_tmpl.format(old))
                if is_main_process() and self.file_backend.isfile(path):
                    self.file_backend.remove(path)
            self.file_backend.flush()
            self.keep_ckpt_ids.clear()
            self.keep_ckpt_ids.extend(steps[-self.max_keep_ckpts:])
            hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        self.last_step, self._outdated = step, False

    def _require_finite(self, runner: Runner, iteration: int) -> None:
        invalid = invalid_values(bare_model(runner).state_dict())
        if invalid:
            raise RunError(
                f'iteration {iteration}: {invalid}, and no checkpoint is written; '
                f'{last_good(Path(runner.work_dir))}')


def last_good(folder: Path) -> str:
    """What there is to go on from, for the message of a training that fails."""
    last = last_checkpoint(folder)
    return f"the last good one is '{last}'" if last else 'there is none before'
