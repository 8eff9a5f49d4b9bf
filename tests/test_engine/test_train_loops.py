"""The train loops with a TrainEpisodeSampler: epochs end, and resume midway."""
from __future__ import annotations

import copy
from itertools import islice
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmwsfs.datasets import TrainEpisodeSampler
from mmwsfs.engine import EpochBasedTrainLoop
from mmwsfs.engine.hooks.bare_model import bare_model
from mmwsfs.utils.launcher import prepare_launcher

QUERIES = 60  # of fold 0's base classes in ``tiny_voc``
BATCH = 32


class Notes(Hook):
    """Of every step its number in the epoch and its episodes; of epochs their ends."""

    def __init__(self) -> None:
        self.steps = []
        self.epochs = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.steps.append((batch_idx, [
            (sample.query_path, sample.support_paths, tuple(sample.class_ids))
            for sample in data_batch['data_samples']]))

    def after_train_epoch(self, runner):
        self.epochs.append(runner.iter)


@pytest.fixture
def by_epoch(tiny_config: Config) -> Config:
    """The tiny training for two epochs of two steps, the last of a smaller batch."""
    tiny_config.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2)
    tiny_config.train_dataloader.batch_size = BATCH
    tiny_config.custom_hooks = []
    tiny_config.default_hooks.checkpoint = dict(
        type='CheckpointHook', interval=1, by_epoch=False)
    return tiny_config


def train(config: Config, launcher: str = 'none', **settings) -> tuple[Runner, Notes]:
    """Run it under a name of its own."""
    config = copy.deepcopy(config)
    config.merge_from_dict(settings)
    config.experiment_name = f'{config.work_dir}_{get_rank()}_{len(settings)}'
    prepare_launcher(config, launcher)
    runner = Runner.from_cfg(config)
    notes = Notes()
    runner.register_hook(notes)
    runner.train()
    return runner, notes


@pytest.mark.parametrize(('paired', 'workers'), [(False, 0), (True, 2)])
def test_epochs_end_and_are_those_of_the_stream(
        by_epoch: Config, paired: bool, workers: int) -> None:
    """Each query once an epoch, twice if paired; what iteration-based training sees."""
    by_epoch.train_dataloader.update(
        num_workers=workers, persistent_workers=workers > 0)
    by_epoch.train_dataloader.sampler.paired = paired
    by_epoch.default_hooks.checkpoint = None
    runner, notes = train(by_epoch)
    assert isinstance(runner.train_loop, EpochBasedTrainLoop)
    size = QUERIES * (1 + paired)
    steps = -(-size // BATCH)
    assert notes.epochs == [steps, 2 * steps] and runner.iter == 2 * steps
    assert [index for index, _ in notes.steps] == 2 * list(range(steps))
    dataset = runner.train_dataloader.dataset
    stream = islice(
        TrainEpisodeSampler(dataset, seed=runner.seed, paired=paired), 2 * size)
    expected = [dataset[key]['data_samples'] for key in stream]
    found = [episode for _, batch in notes.steps for episode in batch]
    assert found == [
        (sample.query_path, sample.support_paths, tuple(sample.class_ids))
        for sample in expected]


def test_resumed_within_an_epoch_or_at_its_end(
        by_epoch: Config, tmp_path: Path) -> None:
    """The same steps, and the weights to the last bit."""
    whole, notes = train(by_epoch)
    assert notes.epochs == [2, 4]
    for iteration in (1, 2):
        resumed, rest = train(
            by_epoch, work_dir=str(tmp_path / f'resumed{iteration}'), resume=True,
            load_from=f'{by_epoch.work_dir}/iter_{iteration}.pth')
        assert rest.steps == notes.steps[iteration:]
        assert resumed.iter == 4 and resumed.epoch == 2
        for name, value in whole.model.state_dict().items():
            assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_two_ranks_share_an_epoch(by_epoch: Config, on_ranks) -> None:
    """Together they see what one process does with the same global batch."""
    by_epoch.train_dataloader.sampler.paired = True
    by_epoch.default_hooks.checkpoint = None

    def on_rank() -> dict:
        runner, notes = train(
            by_epoch, 'pytorch', **{'train_dataloader.batch_size': BATCH // 2})
        return dict(steps=notes.steps, epochs=notes.epochs,
                    state=bare_model(runner).state_dict())

    runner, notes = train(by_epoch)
    ranks = on_ranks(on_rank)
    for rank in ranks:
        assert rank['epochs'] == notes.epochs == [4, 8]
    for step, (index, batch) in enumerate(notes.steps):
        shares = [rank['steps'][step] for rank in ranks]
        assert [share[0] for share in shares] == [index, index]
        assert sorted(shares[0][1] + shares[1][1]) == sorted(batch)
    for name, value in runner.model.state_dict().items():
        torch.testing.assert_close(
            ranks[0]['state'][name], value, rtol=1e-3, atol=1e-3)


def test_other_samplers_are_left_alone(by_epoch: Config) -> None:
    """An epoch of MMEngine's sampler is what it was: a dataset's numbers."""
    by_epoch.train_dataloader.sampler = dict(type='DefaultSampler', shuffle=False)
    by_epoch.train_dataloader.dataset.num_episodes = 40
    by_epoch.default_hooks.checkpoint = None
    runner, notes = train(by_epoch)
    assert notes.epochs == [2, 4]
    assert [len(batch) for _, batch in notes.steps] == [BATCH, 8] * 2
    assert notes.steps[:2] == notes.steps[2:]
