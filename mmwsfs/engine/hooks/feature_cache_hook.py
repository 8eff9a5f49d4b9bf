from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from mmengine.dist import barrier, get_dist_info
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from mmwsfs.registry import HOOKS
from mmwsfs.structures import LazyImage, LazyImages


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

    def before_train(self, runner: Runner) -> None:
        """Of the training images."""
        self._start(runner, runner.train_dataloader)

    def before_val(self, runner: Runner) -> None:
        """Of the validation episodes."""
        self._start(runner, runner.val_dataloader)

    def before_test(self, runner: Runner) -> None:
        """Of the test episodes."""
        self._start(runner, runner.test_dataloader)

    def _start(self, runner: Runner, loader: DataLoader) -> None:
        model = runner.model.module if is_model_wrapper(
            runner.model) else runner.model
        cache = getattr(model, 'cache', None)
        if cache is None:
            return
        if not loader.dataset.read_lazily():
            runner.logger.warning(
                f'no features are cached: the pipeline of {loader.dataset.source()!r} '
                'augments images, or does not resize them to one size')
            return
        cache.bind(model.backbone)
        if cache.warm_up:
            self._warm_up(runner, model, loader)

    def _warm_up(self, runner: Runner, model: nn.Module, loader: DataLoader) -> None:
        """Compute the features that are missing; the first one gives the estimate."""
        cache, device = model.cache, next(model.parameters()).device
        rank, world_size = get_dist_info()
        images = loader.dataset.lazy_images()
        missing = cache.missing(images, device)
        if cache.disk is None:  # each rank has a memory of its own
            world_size = 1
        missing = missing[rank % world_size::world_size]
        if missing:
            start = time.time()
            features = self._extract(model, missing[:1])
            seconds = time.time() - start
            room = cache.capacity(features)
            size = features.nbytes / 2**30
            runner.logger.info(
                f'feature cache: {len(missing)} of {len(images)} images to compute, '
                f'about {len(missing) * seconds / 60:.1f} min and '
                f'{len(missing) * size:.2f} GiB')
            if room < len(images):
                runner.logger.warning(
                    f'feature cache: only {room} of {len(images)} images fit; raise '
                    'model.cache.ram_gb or disk_gb, the others are computed again')
            pixels = DataLoader(
                _Pixels(missing[1:room]), batch_size=None,
                num_workers=loader.num_workers)
            for index, image in track(
                    pixels, 'features', total=len(pixels), disable=rank > 0):
                self._extract(model, [replace(
                    missing[1 + index], read=lambda image=image: image)])
        barrier()

    @staticmethod
    @torch.no_grad()
    def _extract(model: nn.Module, images: Sequence[LazyImage]):
        return model.extract_feat(LazyImages(
            np.array(images, dtype=object), model.data_preprocessor.normalise))
