"""CalibrationHook: when it fits, in real runs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmwsfs.engine import CalibrationHook
from mmwsfs.engine.hooks.bare_model import bare_model
from mmwsfs.models import PresenceCalibration
from mmwsfs.utils.launcher import prepare_launcher

EPISODES = 30
NAMES = ('calibration.temperature', 'calibration.threshold')


@pytest.fixture(autouse=True)
def fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights may tell nothing of presence: the values are sums instead."""
    def fit(self: PresenceCalibration, logits: torch.Tensor,
            presence: torch.Tensor) -> None:
        weights = torch.linspace(1, 2, len(logits), dtype=torch.double)
        self.temperature.fill_((logits.abs() * weights).sum())
        self.threshold.fill_((logits * weights).sum())

    monkeypatch.setattr(PresenceCalibration, 'fit', fit)


@pytest.fixture
def calibrated(tiny_config: Config) -> Config:
    """``tiny_config`` with a calibration, for four steps; two checkpoints."""
    tiny_config.model.calibration = dict(type='PresenceCalibration')
    tiny_config.train_cfg.max_iters = 4
    tiny_config.custom_hooks = []
    tiny_config.default_hooks.checkpoint = dict(
        type='CheckpointHook', by_epoch=False, interval=2)
    tiny_config.default_hooks.calibration = dict(
        type='CalibrationHook', num_episodes=EPISODES)
    return tiny_config


def train(config: Config, name: str) -> Path:
    """Train in a folder of its own, and give it."""
    config = copy.deepcopy(config)
    config.work_dir = str(Path(config.work_dir).with_name(name))
    config.experiment_name += f'_{name}'
    Runner.from_cfg(config).train()
    return Path(config.work_dir)


def state_of(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=False)['state_dict']


def expected(config: Config, path: Path, **hook) -> list[float]:
    """The values that the weights of a checkpoint lead to, in a run of no step."""
    config = copy.deepcopy(config)
    config.update(load_from=str(path), work_dir=f'{path}_again')
    config.experiment_name += f'{path}_{hook}'.replace('/', '_')
    config.default_hooks.checkpoint = None
    runner = Runner.from_cfg(config)
    runner.load_or_resume()
    hook = CalibrationHook(num_episodes=EPISODES, **hook)
    hook.before_train(runner)
    hook._fit(runner, 0)
    return [runner.model.state_dict()[name].item() for name in NAMES]


def values(state: dict[str, torch.Tensor]) -> list[float]:
    return [state[name].item() for name in NAMES]


def test_the_last_checkpoint_has_that_of_its_weights(calibrated: Config) -> None:
    """One written before it has none yet; a stopped run that resumes ends the same."""
    work = train(calibrated, 'whole')
    assert values(state_of(work / 'iter_2.pth')) == [1, 0]
    last = state_of(work / 'iter_4.pth')
    assert values(last) == pytest.approx(expected(calibrated, work / 'iter_4.pth'))
    assert values(last) != pytest.approx(expected(calibrated, work / 'iter_2.pth'))
    (work / 'iter_4.pth').unlink()
    resumed = copy.deepcopy(calibrated)
    resumed.update(resume=True, load_from=str(work / 'iter_2.pth'))
    again = state_of(train(resumed, 'resumed') / 'iter_4.pth')
    assert again.keys() == last.keys()
    for name, value in last.items():
        assert torch.equal(value, again[name]), name


def test_training_is_as_without(calibrated: Config) -> None:
    """All other weights, to the last bit."""
    last = state_of(train(calibrated, 'with') / 'iter_4.pth')
    del calibrated.model['calibration']
    without = state_of(train(calibrated, 'without') / 'iter_4.pth')
    assert last.keys() - without.keys() == set(NAMES)
    for name, value in without.items():
        assert torch.equal(value, last[name]), name


def test_validation_and_the_best_checkpoint(
        calibrated: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Are of the calibrated model; at the end it is fitted once."""
    calibrated.val_dataloader = copy.deepcopy(calibrated.test_dataloader)
    calibrated.val_evaluator = dict(type='FewShotMetric')
    calibrated.val_cfg = dict(type='ValLoop')
    calibrated.train_cfg.val_interval = 2
    calibrated.default_hooks.checkpoint.update(save_best='IoU.aeroplane', rule='less')
    fits, fit_now = [], CalibrationHook._fit

    def counted(self: CalibrationHook, runner: Runner, done: int) -> None:
        before = self._fitted
        fit_now(self, runner, done)
        fits.extend([done] * (self._fitted != before))

    monkeypatch.setattr(CalibrationHook, '_fit', counted)
    monkeypatch.setattr(  # the earlier the better
        'mmwsfs.evaluation.FewShotMetric.compute_metrics',
        lambda self, results: {'IoU.aeroplane': float(len(fits))})
    work = train(calibrated, 'work')
    assert fits == [2, 4]
    best, = work.glob('best*.pth')
    assert best.name.endswith('iter_2.pth')
    assert values(state_of(best)) == pytest.approx(expected(calibrated, best))


def test_a_dataset_of_other_images(calibrated: Config) -> None:
    """As told, over the test's: those of several data sets take turns."""
    changes = [dict(fold=2), dict(fold=1)]
    calibrated.default_hooks.calibration.dataset = changes
    work = train(calibrated, 'other')
    found = values(state_of(work / 'iter_4.pth'))
    assert found == pytest.approx(
        expected(calibrated, work / 'iter_4.pth', dataset=changes))
    for other in (None, changes[0], changes[::-1]):
        assert found != pytest.approx(
            expected(calibrated, work / 'iter_4.pth', dataset=other))


def test_epochs(calibrated: Config) -> None:
    """The last step of the last epoch, of which the checkpoint is written after it."""
    calibrated.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2)
    calibrated.train_dataloader.batch_size = 30
    calibrated.default_hooks.checkpoint.update(by_epoch=True, interval=1)
    work = train(calibrated, 'epochs')
    assert values(state_of(work / 'epoch_1.pth')) == [1, 0]
    assert values(state_of(work / 'epoch_2.pth')) == pytest.approx(
        expected(calibrated, work / 'epoch_2.pth'))


def test_weights_that_tell_nothing(
        calibrated: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning, and a training that ends as without."""
    def refuse(self: PresenceCalibration, *args: object) -> None:
        raise ValueError('told nothing')

    monkeypatch.setattr(PresenceCalibration, 'fit', refuse)
    calibrated.experiment_name += '_refused'
    runner = Runner.from_cfg(calibrated)
    warnings = []
    monkeypatch.setattr(runner.logger, 'warning', warnings.append)
    runner.train()
    assert 'presence is not calibrated: told nothing' in warnings
    assert values(state_of(Path(runner.work_dir) / 'iter_4.pth')) == [1, 0]


def test_bad_arguments(calibrated: Config) -> None:
    """Before training, not after it."""
    with pytest.raises(ValueError, match='num_episodes=1: give at least 2'):
        CalibrationHook(num_episodes=1)
    calibrated.default_hooks.calibration.dataset = dict(fold=7)
    calibrated.experiment_name += '_fold'
    runner = Runner.from_cfg(calibrated)
    with pytest.raises(ValueError, match='fold'):
        runner.train()
    assert runner.iter == 0


@pytest.mark.parametrize('dataset', [{}, [dict(fold=1), dict(fold=0)]])
def test_novel_classes_have_no_say(
        calibrated: Config, dataset: dict | list[dict]) -> None:
    """The test's own data set, unchanged, is refused."""
    calibrated.default_hooks.calibration.dataset = dataset
    runner = Runner.from_cfg(calibrated)
    with pytest.raises(ValueError, match='not trained on: .*aeroplane.*base classes'):
        runner.train()


def test_ranks_end_with_the_same(
        calibrated: Config, on_ranks: Callable[..., list]) -> None:
    """All of them, before the checkpoint of the first is written."""
    def run() -> dict:
        config = copy.deepcopy(calibrated)
        config.default_hooks.checkpoint = None
        config.train_dataloader.batch_size = 2
        prepare_launcher(config, 'pytorch')
        runner = Runner.from_cfg(config)
        runner.train()
        return dict(values=torch.tensor(values(bare_model(runner).state_dict())))

    first, second = (rank['values'] for rank in on_ranks(run))
    assert torch.equal(first, second) and first.tolist() != [1, 0]
