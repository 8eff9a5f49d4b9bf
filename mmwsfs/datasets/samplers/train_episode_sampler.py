from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from mmwsfs.datasets.episode import EpisodeKey
from mmwsfs.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class TrainEpisodeSampler(Sampler):
    """An endless stream of training episodes, for iteration-based training.

    Every entry of the lists is the query once an epoch, in an order shuffled anew; the
    supports are drawn with a seed of the episode's own. The stream is a function of
    ``seed`` and the position alone: the same for any number of workers, ranks and any
    batch size, and it continues exactly when a run is resumed (:meth:`skip`).

    Args:
        dataset: an episode dataset with ``data_list``.
        seed (int, optional): Defaults to None, the runner's seed or, without one, a
            random seed that all ranks share.
        paired (bool): every query comes twice in a row, once with a class that it
            shows and once with one that it does not, instead of by the published
            draw, so that the two differ in the support alone. (Of a query that shows
            every class both are present; the dataset warns of these.) Defaults to
            False.
    """

    def __init__(self, dataset: Any, seed: int | None = None,
                 paired: bool = False) -> None:
        self.rank, self.world_size = get_dist_info()
        self.num_queries = len(dataset.data_list)
        self.seed = sync_random_seed() if seed is None else seed
        self.paired = paired
        self.start = 0
        self._epoch: int | None = None

    def key(self, position: int) -> EpisodeKey:
        """The episode at a position of the stream."""
        turn, second = divmod(position, 2) if self.paired else (position, None)
        epoch, index = divmod(turn, self.num_queries)
        if self._epoch != epoch:
            self._epoch = epoch
            self._order = np.random.default_rng(
                (self.seed, epoch)).permutation(self.num_queries)
        state = np.random.SeedSequence((self.seed, position)).generate_state(1)
        return EpisodeKey(int(self._order[index]), int(state[0]),
                          None if second is None else not second)

    def skip(self, num_samples: int) -> None:
        """Begin ``num_samples`` episodes (of this rank) later."""
        self.start += num_samples

    def __iter__(self) -> Iterator[EpisodeKey]:
        position = self.start * self.world_size + self.rank
        while True:
            yield self.key(position)
            position += self.world_size

    def __len__(self) -> int:
        """Entries of an epoch; the stream itself has no end."""
        return self.num_queries

    def set_epoch(self, epoch: int) -> None:
        """The stream knows its epochs by itself."""
