from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from mmwsfs.datasets.episode import EpisodeKey
from mmwsfs.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class TrainEpisodeSampler(Sampler):
    """An endless stream of training episodes, or one epoch of it after the other.

    Every entry of the lists is the query once an epoch, in an order shuffled anew; the
    supports are drawn with a seed of the episode's own. The stream is a function of
    ``seed`` and the position alone: the same for any number of workers, ranks and any
    batch size, and it continues exactly when a run is resumed (:meth:`skip`).

    Rank r of R takes the entries r, r + R, ... of the stream, so that the batches of
    all ranks together are those of one process whose batch is R times as large. Pairs
    stay together on a rank; for this the batch of a rank has to be even
    (:meth:`check_batch_size`).

    Without :meth:`begin_epoch`, for iteration-based training, the stream has no end.
    With it an iteration is over one epoch's list. Where R does not divide it, the
    ranks' shares are filled up to one length with the first entries of the epoch.

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
        self.episodes_of_query = 2 if paired else 1
        self.start = 0
        self.epoch: int | None = None
        self._shuffled: int | None = None

    def key(self, position: int) -> EpisodeKey:
        """The episode at a position of the stream."""
        turn, second = divmod(position, 2) if self.paired else (position, None)
        epoch, index = divmod(turn, self.num_queries)
        if self._shuffled != epoch:
            self._shuffled = epoch
            self._order = np.random.default_rng(
                (self.seed, epoch)).permutation(self.num_queries)
        state = np.random.SeedSequence((self.seed, position)).generate_state(1)
        return EpisodeKey(int(self._order[index]), int(state[0]),
                          None if second is None else not second)

    def check_batch_size(self, batch_size: int) -> None:
        """Refuse a batch that would cut pairs in two.

        Raises:
            ValueError: ``batch_size``, of one rank, is odd, the episodes are paired and
                there are several ranks, all of which would get the same half.
        """
        if self.paired and self.world_size > 1 and batch_size % 2:
            raise ValueError(
                'paired episodes on several processes need an even batch in each, but '
                f'train_dataloader.batch_size={batch_size}: all would cut a pair at '
                'the same place. Make it even, or set '
                'train_dataloader.sampler.paired=False')

    def skip(self, num_samples: int) -> None:
        """Begin ``num_samples`` episodes (of this rank) later."""
        self.start += num_samples

    def begin_epoch(self, epoch: int, skipped: int = 0) -> None:
        """Let the next iteration be over one epoch alone.

        Args:
            epoch: its number, from 0.
            skipped: begin so many episodes (of this rank) later. Defaults to 0.
        """
        self.epoch, self.start = epoch, skipped

    def _position(self, turn: int) -> int:
        """Of this rank's episode number ``turn``."""
        entry, member = divmod(turn, self.episodes_of_query)
        entry = entry * self.world_size + self.rank
        if self.epoch is not None:
            entry = self.epoch * self.num_queries + entry % self.num_queries
        return entry * self.episodes_of_query + member

    def __iter__(self) -> Iterator[EpisodeKey]:
        turns = count(self.start) if self.epoch is None else range(
            self.start, len(self))
        return (self.key(self._position(turn)) for turn in turns)

    def __len__(self) -> int:
        """Episodes of this rank in an epoch; the stream itself has no end."""
        return (math.ceil(self.num_queries / self.world_size)
                * self.episodes_of_query)

    def set_epoch(self, epoch: int) -> None:
        """The stream knows its epochs by itself."""
