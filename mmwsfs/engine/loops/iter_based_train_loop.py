from __future__ import annotations

from typing import Any

from mmengine.runner import IterBasedTrainLoop as _IterBasedTrainLoop

from mmwsfs.registry import LOOPS

from .episode_sampler import episode_sampler


@LOOPS.register_module()
class IterBasedTrainLoop(_IterBasedTrainLoop):
    """MMEngine's; refuses a batch that does not suit a :class:`.TrainEpisodeSampler`.

    Args:
        args, kwargs: as for MMEngine's.

    Raises:
        ValueError: see :meth:`.TrainEpisodeSampler.check_batch_size`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        episode_sampler(self.dataloader)
