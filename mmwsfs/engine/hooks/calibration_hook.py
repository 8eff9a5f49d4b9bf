from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner

from mmwsfs.datasets.few_shot_dataset import FewShotDataset
from mmwsfs.fitting import calibrate, calibration_dataset
from mmwsfs.registry import HOOKS

from .bare_model import bare_model


@HOOKS.register_module()
class CalibrationHook(Hook):
    """Fits the model's calibration of presence to episodes of base classes.

    Does nothing where ``model.calibration`` is None. It is fitted after the last
    training step, before the last checkpoint is written, and before each validation
    during training, so that the best checkpoint has that of its own weights. A
    checkpoint that is written at another time has the last one fitted; training does
    not depend on it, so that a resumed run ends with the same.

    Base classes need not be as easy or as hard as new ones, and what is fitted to them
    may harm (docs/experiments/calibration.md): compare before it is used. ``dataset``
    takes other episodes than those of the training images: what is other for them than
    in the data set of validation, so that folders, lists and sizes are not repeated.

    Args:
        num_episodes (int): how many, half of them with the class. Defaults to 400.
        dataset (dict | list[dict], optional): settings that are merged over
            ``val_dataloader.dataset``, or ``test_dataloader.dataset`` where there is
            no validation; the episodes are always 1-way 1-shot. Of several data sets
            each gives its share. ``[dict(fold=1), dict(fold=2), dict(fold=3)]``, where
            fold 0 is held out, are tests on the classes of the other folds: a query
            lacks classes of its own fold, as in the test. Defaults to None, episodes
            of the training images.

    Raises:
        ValueError: ``num_episodes`` is below 2; a data set has classes that are not
            trained on.
    """

    # Behind the optimizer; CheckpointHook, which is VERY_LOW, writes after it.
    priority = 'LOW'

    def __init__(self, num_episodes: int = 400,
                 dataset: dict | list[dict] | None = None) -> None:
        if num_episodes < 2:
            raise ValueError(
                f'CalibrationHook.num_episodes={num_episodes}: give at least 2, one '
                'with the class and one without')
        self.num_episodes = num_episodes
        self.changes: list[dict | None] = (
            list(dataset) if isinstance(dataset, (list, tuple)) else [dataset])
        self._datasets: list[FewShotDataset] = []
        self._fitted: int | None = None  # the iterations that were done then

    def before_train(self, runner: Runner) -> None:
        """Make the data set, so that what is wrong with it is told at once."""
        if getattr(bare_model(runner), 'calibration', None) is None:
            return
        trained = runner.train_dataloader.dataset
        self._datasets = [
            calibration_dataset(runner.cfg, changes) for changes in self.changes]
        for changes, dataset in zip(self.changes, self._datasets):
            new = sorted(set(dataset.class_ids) - set(trained.class_ids))
            if new:
                names = [dataset.metainfo['classes'][number - 1] for number in new]
                raise ValueError(
                    f'CalibrationHook.dataset={changes} has classes that the model is '
                    f'not trained on: {names}; name base classes alone')

    def after_train_iter(self, runner: Runner, *args: object,
                         **kwargs: object) -> None:
        """Fit after the last step."""
        if self.is_last_train_iter(runner):
            self._fit(runner, runner.iter + 1)

    def before_val(self, runner: Runner) -> None:
        """Fit before a validation, if the run trains."""
        if isinstance(runner._train_loop, BaseLoop):
            self._fit(runner, runner.iter)

    def _fit(self, runner: Runner, done: int) -> None:
        if not self._datasets or self._fitted == done:
            return
        self._fitted = done
        model = bare_model(runner)
        try:
            calibrate(model, self._datasets, self.num_episodes)
        except ValueError as error:
            runner.logger.warning(f'presence is not calibrated: {error}')
            return
        runner.logger.info(
            f'presence calibrated on {self.num_episodes} episodes of base classes: '
            f'temperature {model.calibration.temperature:.3f}, threshold '
            f'{model.calibration.threshold:.3f}')
