"""TrainEpisodeSampler: one stream, whatever the workers, ranks and batches."""
from __future__ import annotations

from collections.abc import Callable
from itertools import chain, islice
from types import SimpleNamespace

import numpy as np
import pytest
from torch.utils.data import DataLoader

from mmwsfs.datasets import EpisodeKey, Pascal5iDataset, TrainEpisodeSampler
from mmwsfs.datasets.samplers import train_episode_sampler
from mmwsfs.registry import DATA_SAMPLERS

QUERIES = 13
LIST = SimpleNamespace(data_list=[None] * QUERIES)


def take(sampler: TrainEpisodeSampler, count: int) -> list[EpisodeKey]:
    return list(islice(sampler, count))


@pytest.fixture
def ranks(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list]:
    """Makes the samplers of all ranks."""
    def make(world_size: int, **kwargs) -> list[TrainEpisodeSampler]:
        samplers = []
        for rank in range(world_size):
            monkeypatch.setattr(
                train_episode_sampler, 'get_dist_info',
                lambda rank=rank: (rank, world_size))
            samplers.append(TrainEpisodeSampler(LIST, **kwargs))
        return samplers
    return make


@pytest.mark.parametrize('paired', [False, True])
@pytest.mark.parametrize('world_size', [2, 3])
def test_same_stream_for_any_world_size(
        ranks: Callable[..., list], world_size: int, paired: bool) -> None:
    """The ranks' turns, put together, are the stream of a single process."""
    single, = ranks(1, seed=4, paired=paired)
    shares = [take(sampler, 20) for sampler in ranks(world_size, seed=4, paired=paired)]
    assert list(chain.from_iterable(zip(*shares))) == take(single, 20 * world_size)


@pytest.mark.parametrize('paired', [False, True])
@pytest.mark.parametrize('world_size', [1, 2])
def test_skip_continues_exactly(
        ranks: Callable[..., list], world_size: int, paired: bool) -> None:
    """A resumed run sees the episodes that it would have seen, past epochs too."""
    for rank in range(world_size):
        whole = take(ranks(world_size, seed=0, paired=paired)[rank], 60)
        resumed = ranks(world_size, seed=0, paired=paired)[rank]
        resumed.skip(17)
        assert take(resumed, 10) == whole[17:27]
        resumed.skip(20)
        assert take(resumed, 10) == whole[37:47]


def test_seeds() -> None:
    """The same seed gives the same stream, another seed another one."""
    streams = [take(TrainEpisodeSampler(LIST, seed), 26) for seed in (1, 1, 2)]
    assert streams[0] == streams[1]
    assert [key.query for key in streams[0]] != [key.query for key in streams[2]]
    assert not {key.seed for key in streams[0]} & {key.seed for key in streams[2]}


def test_without_seed_all_ranks_share_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a seed the ranks' common one is taken."""
    monkeypatch.setattr(train_episode_sampler, 'sync_random_seed', lambda: 8)
    assert take(TrainEpisodeSampler(LIST), 5) == take(TrainEpisodeSampler(LIST, 8), 5)


def test_an_epoch_is_the_list() -> None:
    """Every entry is the query once an epoch, each epoch in another order."""
    sampler = TrainEpisodeSampler(LIST, seed=6)
    assert len(sampler) == QUERIES
    keys = take(sampler, 3 * QUERIES)
    epochs = [[key.query for key in keys[i:i + QUERIES]]
              for i in range(0, len(keys), QUERIES)]
    assert all(sorted(epoch) == list(range(QUERIES)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert len({key.seed for key in keys}) == len(keys)
    assert all(0 <= key.seed < 2 ** 32 and key.present is None for key in keys)


def test_iterating_again_and_set_epoch_change_nothing() -> None:
    """The stream depends on seed and position only, not on what a loop calls."""
    sampler = TrainEpisodeSampler(LIST, seed=6)
    first = take(sampler, 30)
    np.random.seed(0)
    sampler.set_epoch(3)
    assert take(sampler, 30) == first


def test_pairs(tiny_dataset: Callable[..., Pascal5iDataset]) -> None:
    """Each query comes twice in a row: once with its class, once with an absent."""
    dataset = tiny_dataset(split='trn', masks='none')
    entries = len(dataset.data_list)
    sampler = DATA_SAMPLERS.build(
        dict(type='TrainEpisodeSampler', paired=True),
        default_args=dict(dataset=dataset, seed=1))
    keys = take(sampler, 2 * entries)
    for first, second in zip(keys[::2], keys[1::2]):
        assert first.query == second.query and first.seed != second.seed
        assert (first.present, second.present) == (True, False)
        labels = dataset.labels_of[dataset.data_list[first.query]['name']]
        assert dataset.draw(first).classes[0] in labels
        assert dataset.draw(second).classes[0] not in labels
    assert sorted(key.query for key in keys[::2]) == list(range(entries))


def test_unpaired_episodes_are_half_present(
        tiny_dataset: Callable[..., Pascal5iDataset]) -> None:
    """Training episodes are drawn by the published rule: half of them present."""
    dataset = tiny_dataset(split='trn', masks='none')
    own = [dataset.draw(key).classes[0] == dataset.data_list[key.query]['class_id']
           for key in take(TrainEpisodeSampler(dataset, seed=0), 2000)]
    assert abs(np.mean(own) - 0.5) < 4 * 0.5 / 2000 ** 0.5


def test_same_episodes_for_any_workers_and_batch_size(
        tiny_dataset: Callable[..., Pascal5iDataset]) -> None:
    """Neither the number of workers nor the batch size changes an episode."""
    dataset = tiny_dataset(split='trn', masks='none')
    expected = [dataset[key] for key in take(TrainEpisodeSampler(dataset, seed=2), 8)]
    for num_workers in (0, 2):
        for batch_size in (1, 4):
            loader = DataLoader(
                dataset, batch_size, sampler=TrainEpisodeSampler(dataset, seed=2),
                num_workers=num_workers, collate_fn=list,
                multiprocessing_context='fork' if num_workers else None)
            batches = islice(loader, 8 // batch_size)
            assert list(chain.from_iterable(batches)) == expected
