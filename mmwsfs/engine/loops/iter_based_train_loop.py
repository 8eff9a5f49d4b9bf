from __future__ import annotations

from mmengine.runner import IterBasedTrainLoop as _IterBasedTrainLoop

from mmwsfs.registry import LOOPS

from .episode_sampler import KnowsEpisodes


@LOOPS.register_module()
class IterBasedTrainLoop(KnowsEpisodes, _IterBasedTrainLoop):
    """MMEngine's; refuses a batch that does not suit a :class:`.TrainEpisodeSampler`.

    Args:
        args, kwargs: as for MMEngine's.

    Raises:
        ValueError: see :meth:`.TrainEpisodeSampler.check_batch_size`.
    """
