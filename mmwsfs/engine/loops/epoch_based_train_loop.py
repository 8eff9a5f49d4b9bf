from __future__ import annotations

from mmengine.runner import EpochBasedTrainLoop as _EpochBasedTrainLoop

from mmwsfs.registry import LOOPS

from .episode_sampler import KnowsEpisodes


@LOOPS.register_module()
class EpochBasedTrainLoop(KnowsEpisodes, _EpochBasedTrainLoop):
    """MMEngine's, with an end to the epochs of a :class:`.TrainEpisodeSampler`.

    That sampler's stream has none. Here an epoch is its list: every query once, or
    twice where the episodes are paired, a share of them on every rank. Epoch after
    epoch they are those of iteration-based training. A run that resumes within an epoch
    continues there; MMEngine's would begin the epoch anew.

    Args:
        args, kwargs: as for MMEngine's.

    Raises:
        ValueError: see :meth:`.TrainEpisodeSampler.check_batch_size`.
    """

    def run_epoch(self) -> None:
        """Iterate one epoch, or what a resumed run has left of it."""
        if self._sampler is None:
            super().run_epoch()
            return
        done = self._iter - self._epoch * len(self.dataloader)
        self._sampler.begin_epoch(
            self._epoch, done * self.dataloader.batch_sampler.batch_size)
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        for index, batch in enumerate(self.dataloader, start=done):
            self.run_iter(index, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1
