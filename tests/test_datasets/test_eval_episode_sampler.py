"""EvalEpisodeSampler: the fixed test episodes, shared out over ranks."""
from __future__ import annotations

from itertools import chain

import pytest

from mmwsfs.datasets import EvalEpisodeSampler
from mmwsfs.datasets.samplers import eval_episode_sampler


class Listed:
    """A dataset of so many episodes."""

    def __init__(self, episodes: int) -> None:
        self.episodes = episodes

    def __len__(self) -> int:
        return self.episodes


def keys_of_rank(monkeypatch: pytest.MonkeyPatch, rank: int, world_size: int,
                 episodes: int, seed: int | None = None) -> list[int]:
    monkeypatch.setattr(
        eval_episode_sampler, 'get_dist_info', lambda: (rank, world_size))
    sampler = EvalEpisodeSampler(Listed(episodes), seed)
    keys = list(sampler)
    assert len(keys) == len(sampler)
    return keys


@pytest.mark.parametrize('episodes', [1, 5, 12, 20])
@pytest.mark.parametrize('world_size', [1, 2, 3, 8])
def test_ranks_share_all_episodes(
        monkeypatch: pytest.MonkeyPatch, world_size: int, episodes: int) -> None:
    """All episodes in order, shares of one length, filled up with the first ones.

    MMEngine puts the ranks' results back together by turns and cuts the rest off.
    """
    shares = [keys_of_rank(monkeypatch, rank, world_size, episodes)
              for rank in range(world_size)]
    assert len({len(share) for share in shares}) == 1
    merged = list(chain.from_iterable(zip(*shares)))
    assert merged[:episodes] == list(range(episodes))
    assert len(merged) - episodes < world_size
    wrapped = [j % episodes for j in range(len(merged) - episodes)]
    assert merged[episodes:] == wrapped


def test_seed_and_epoch_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run is measured on the same episodes."""
    first = keys_of_rank(monkeypatch, 0, 1, 9, seed=None)
    assert first == keys_of_rank(monkeypatch, 0, 1, 9, seed=123)
    sampler = EvalEpisodeSampler(Listed(9), seed=5)
    sampler.set_epoch(4)
    assert list(sampler) == first
