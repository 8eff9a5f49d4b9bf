from __future__ import annotations

from typing import Any

from torch.utils.data import DataLoader

from mmwsfs.datasets import TrainEpisodeSampler


def episode_sampler(loader: DataLoader) -> TrainEpisodeSampler | None:
    """The sampler of a loader of training episodes; None for one of other data.

    Raises:
        ValueError: the loader's batch does not suit its sampler.
    """
    if not isinstance(loader, DataLoader):  # a stand-in, as of a plot of schedules
        return None
    sampler = getattr(loader.batch_sampler, 'sampler', loader.sampler)
    if not isinstance(sampler, TrainEpisodeSampler):
        return None
    if loader.batch_size is not None:
        sampler.check_batch_size(loader.batch_size)
    return sampler


class KnowsEpisodes:
    """Stands before a training loop of MMEngine's: it knows the sampler of episodes.

    Args:
        args, kwargs: as for MMEngine's.

    Raises:
        ValueError: see :func:`episode_sampler`.
    """

    dataloader: Any  # from MMEngine, which has no types

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sampler = episode_sampler(self.dataloader)
