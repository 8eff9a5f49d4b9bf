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


def batches(sampler: TrainEpisodeSampler, count: int, size: int) -> list[list]:
    keys = take(sampler, count * size)
    return [keys[first:first + size] for first in range(0, len(keys), size)]


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


@pytest.mark.parametrize(('paired', 'batch'), [
    (False, 1), (False, 3), (True, 2), (True, 6)])
@pytest.mark.parametrize('world_size', [2, 3, 8])
def test_same_stream_for_any_world_size(
        ranks: Callable[..., list], world_size: int, paired: bool, batch: int) -> None:
    """A step's batches of all ranks together are the one of a single process."""
    single, = ranks(1, seed=4, paired=paired)
    whole = batches(single, 10, batch * world_size)
    shares = [batches(sampler, 10, batch)
              for sampler in ranks(world_size, seed=4, paired=paired)]
    for step in range(10):
        together = [key for share in shares for key in share[step]]
        assert sorted(together) == sorted(whole[step])


@pytest.mark.parametrize('world_size', [2, 4, 8])
def test_pairs_stay_together_on_a_rank(
        ranks: Callable[..., list], world_size: int) -> None:
    """Every rank gets both episodes of a query, so that their batches look alike."""
    for sampler in ranks(world_size, seed=4, paired=True):
        for batch in batches(sampler, 5, 4):
            assert [key.present for key in batch] == [True, False] * 2
            assert [key.query for key in batch[::2]] == [
                key.query for key in batch[1::2]]


def test_an_odd_batch_would_cut_pairs(ranks: Callable[..., list]) -> None:
    """It is refused where all ranks would get the same half, and nowhere else."""
    with pytest.raises(ValueError, match='even batch.*batch_size=3.*paired=False'):
        ranks(2, seed=0, paired=True)[1].check_batch_size(3)
    ranks(2, seed=0, paired=True)[0].check_batch_size(4)
    ranks(2, seed=0)[0].check_batch_size(3)
    ranks(1, seed=0, paired=True)[0].check_batch_size(3)


@pytest.mark.parametrize('paired', [False, True])
def test_one_epoch_after_the_other_is_the_stream(
        ranks: Callable[..., list], paired: bool) -> None:
    """Each ends, each is the list, and what was skipped is left out."""
    sampler, = ranks(1, seed=4, paired=paired)
    stream = take(sampler, 3 * len(sampler))
    found = []
    for epoch in range(3):
        sampler.begin_epoch(epoch)
        found += list(sampler)
    assert found == stream and len(stream) == 3 * QUERIES * (1 + paired)
    sampler.begin_epoch(1, skipped=5)
    assert list(sampler) == stream[len(sampler) + 5:2 * len(sampler)]
    sampler.begin_epoch(1, skipped=len(sampler))
    assert list(sampler) == []


@pytest.mark.parametrize('paired', [False, True])
@pytest.mark.parametrize('world_size', [2, 3, 16])
def test_ranks_share_an_epoch(
        ranks: Callable[..., list], world_size: int, paired: bool) -> None:
    """In shares of one length; those who have less repeat the epoch's beginning."""
    single, = ranks(1, seed=4, paired=paired)
    single.begin_epoch(2)
    whole = list(single)
    shares = []
    for sampler in ranks(world_size, seed=4, paired=paired):
        sampler.begin_epoch(2)
        shares.append(list(sampler))
        assert len(shares[-1]) == len(sampler)
    members = 1 + paired
    together = [
        key for first in range(0, len(shares[0]), members)
        for share in shares for key in share[first:first + members]]
    assert together[:len(whole)] == whole
    filled = together[len(whole):]
    assert len(filled) < members * world_size and filled == whole[:len(filled)]


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
