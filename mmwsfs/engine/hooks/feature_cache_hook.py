from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import torch
from mmengine.dist import get_dist_info
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, IterBasedTrainLoop, Runner, autocast
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mmwsfs.models import FewShotSegmentor
from mmwsfs.registry import HOOKS
from mmwsfs.structures import LazyImage
from mmwsfs.utils.long_wait import wait_for_all_ranks

from .bare_model import bare_model


class _Pixels(Dataset):
    """Reads lazy images, so that worker processes decode them."""

    def __init__(self, images: Sequence[LazyImage]) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[int, Tensor]:
        return index, self.images[index].read()


@HOOKS.register_module()
class FeatureCacheHook(Hook):
    """Lets the data sets leave images unread whose features the model caches.

    Does nothing where ``model.cache`` is None, and says so where a pipeline augments:
    then nothing is cached. With ``model.cache.warm_up`` the features of all images are
    computed before a run begins, the ranks sharing the work if they share a disk tier.
    """

    def __init__(self) -> None:
        self._lazy: list[Dataset] = []

    def before_run(self, runner: Runner) -> None:
        """Choose what the loaders read, before they begin to."""
        if getattr(bare_model(runner), 'cache', None) is None:
            return
        for loop in (runner._train_loop, runner._val_loop, runner._test_loop):
            if not isinstance(loop, BaseLoop) or not self._read_lazily(
                    runner, loop.dataloader.dataset):
                continue
            if isinstance(loop, IterBasedTrainLoop):
                # Its workers began when it was built: the loader is built again.
                loop.dataloader = runner.build_dataloader(
                    dict(runner.cfg.train_dataloader, dataset=loop.dataloader.dataset),
                    seed=runner.seed,
                    diff_rank_seed=runner._randomness_cfg.get('diff_rank_seed', False))
                loop.dataloader_iterator = type(loop.dataloader_iterator)(
                    loop.dataloader)
            self._lazy.append(loop.dataloader.dataset)

    @staticmethod
    def _read_lazily(runner: Runner, dataset: Dataset) -> bool:
        if not hasattr(dataset, 'read_lazily') or not dataset.read_lazily():
            runner.logger.warning(
                f'no features are cached: the pipeline of the {type(dataset).__name__} '
                'augments images, or does not resize them to one size')
            return False
        return True

    def before_train(self, runner: Runner) -> None:
        """Of the training images."""
        self._start(runner, runner.train_dataloader,
                    runner.optim_wrapper.optim_context(runner.model))

    def before_val(self, runner: Runner) -> None:
        """Of the validation episodes."""
        self._start(runner, runner.val_dataloader,
                    autocast(enabled=runner.val_loop.fp16))

    def before_test(self, runner: Runner) -> None:
        """Of the test episodes."""
        self._start(runner, runner.test_dataloader,
                    autocast(enabled=runner.test_loop.fp16))

    def _start(self, runner: Runner, loader: DataLoader,
               precision: AbstractContextManager) -> None:
        """Cache features of the weights there are now; ``precision`` is the run's."""
        if not any(loader.dataset is dataset for dataset in self._lazy):
            return
        model = bare_model(runner)
        model.cache.bind(model.backbone)
        if model.cache.warm_up:
            with wait_for_all_ranks(), precision, torch.no_grad():
                self._warm_up(runner, model, loader)

    def _warm_up(self, runner: Runner, model: FewShotSegmentor,
                 loader: DataLoader) -> None:
        """Compute the features that are missing; the first one gives the estimate."""
        cache: Any = model.cache
        device = next(model.parameters()).device
        rank, world_size = get_dist_info()
        dataset: Any = loader.dataset
        images = dataset.lazy_images()
        # Without a disk tier each process has to fill a memory of its own.
        share = images if cache.disk is None else images[rank::world_size]
        missing = cache.missing(share, device)
        if not missing:
            return
        start = time.time()
        size = cache.num_bytes(model.extract_image(missing[0]))
        seconds = time.time() - start
        runner.logger.info(
            f'feature cache: {len(missing)} of {len(share)} images to compute, about '
            f'{len(missing) * seconds / 60:.1f} min and '
            f'{len(missing) * size / 2**30:.2f} GiB in each process')
        room = cache.capacity // size
        if room < len(images):
            runner.logger.warning(
                f'feature cache: only {room} of {len(images)} images fit; raise '
                'model.cache.ram_gb or disk_gb, the others are computed again')
        room = room * len(share) // len(images) - (len(share) - len(missing))
        missing = missing[1:max(room, 1)]
        pixels = DataLoader(
            _Pixels(missing), batch_size=None, num_workers=loader.num_workers)
        for index, image in track(pixels, 'features', disable=rank > 0):
            model.extract_image(
                replace(missing[index], read=lambda image=image: image))
            if not cache.capacity:  # the disk is full
                break
