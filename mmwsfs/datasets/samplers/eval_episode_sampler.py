from __future__ import annotations

import math
from collections.abc import Iterator, Sized

from mmengine.dist import get_dist_info
from torch.utils.data import Sampler

from mmwsfs.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class EvalEpisodeSampler(Sampler):
    """The fixed evaluation episodes 0, 1, ..., the same whatever the seed of the run.

    Rank r of R takes r, r + R, ...; the ranks' shares are filled up to one length with
    the first episodes, which MMEngine's evaluator cuts off again.

    Args:
        dataset: an episode dataset; its length is the number of episodes.
        seed: not used; MMEngine passes it to every sampler.
    """

    def __init__(self, dataset: Sized, seed: int | None = None) -> None:
        self.rank, self.world_size = get_dist_info()
        self.num_episodes = len(dataset)

    def __iter__(self) -> Iterator[int]:
        for turn in range(len(self)):
            yield (turn * self.world_size + self.rank) % self.num_episodes

    def __len__(self) -> int:
        return math.ceil(self.num_episodes / self.world_size)

    def set_epoch(self, epoch: int) -> None:
        """Nothing changes from one evaluation to the next."""
