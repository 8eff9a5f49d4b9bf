"""The points of the curve: what each is trained from, as a config and its options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope

from mmwsfs.cli.common import import_openmmlab
from mmwsfs.registry import DATASETS

DATA = 'train_dataloader.dataset'
# What makes a config of tags alone one of masks for some, or for all, images.
MIXED = (
    'model.supervision=mixed',
    'model.labeler._delete_=True',
    'model.labeler.type=EnhancedLabeler',
    'model.labeler.enhancer.type=PseudoLabelEnhancer',
    'model.labeler.probe.type=ClassProbe',
    'model.labeler.probe.num_classes=80')
PIXEL = (
    'model.supervision=pixel',
    f'{DATA}.masks=all',
    'val_dataloader.dataset.support_masks=True',
    'test_dataloader.dataset.support_masks=True',
    'custom_hooks=[]')


@dataclass(frozen=True)
class Point:
    """Trainings that differ in seed and fold alone.

    Attributes:
        name: of its folder.
        config: a config file.
        options: config options of the point.
        ratio: share of the images that carry masks, None for none or all.
    """

    name: str
    config: str
    options: tuple[str, ...] = ()
    ratio: float | None = None

    def settings(self, seed: int, common: Sequence[str]) -> list[str]:
        """All config options of a seed."""
        masks = [] if self.ratio is None else [
            f'{DATA}.mask_seed={seed}', f'{DATA}.masks={self.ratio:g}']
        return [f'randomness.seed={seed}', *masks, *self.options, *common]

    def read(self, seed: int, common: Sequence[str]) -> Config:
        """The config with all its options."""
        cfg = Config.fromfile(self.config)
        options = [option.split('=', 1) for option in self.settings(seed, common)]
        cfg.merge_from_dict({
            key: DictAction._parse_iterable(value) for key, value in options})
        return cfg

    def mask_share(self, seed: int, common: Sequence[str],
                   folds: Sequence[int]) -> float:
        """Share of the training images that carry a mask, 0..1, mean over the folds."""
        cfg = self.read(seed, common)
        settings = cfg.train_dataloader.dataset
        if settings.masks in ('none', 'all'):
            return float(settings.masks == 'all')
        import_openmmlab()
        init_default_scope(cfg.default_scope)
        shares = []
        for fold in folds:
            dataset = DATASETS.build(dict(settings, fold=fold))
            images = {entry['name'] for entry in dataset.data_list}
            shares.append(len(dataset.masked_images) / len(images))
        return float(np.mean(shares))


def points(image: str, ratios: Sequence[float], mixed: str | None = None,
           pixel: str | None = None) -> list[Point]:
    """From tags alone to masks for all.

    Args:
        image: config of tags alone.
        ratios: shares of images with masks, each in 0..1.
        mixed, pixel: configs of masks for some and for all. Defaults to None: the
            first one with :data:`MIXED` and :data:`PIXEL`.

    Raises:
        ValueError: the config is not of tags alone, or has hooks of its own, which
            :data:`PIXEL` would take out.
    """
    cfg = Config.fromfile(image)
    if cfg.model.supervision != 'image':
        raise ValueError(
            f"'{image}' is of supervision '{cfg.model.supervision}': give the config "
            'of tags alone; those with masks follow from it')
    own = [hook.type for hook in cfg.get('custom_hooks') or ()
           if hook.type != 'PseudoLabelHook']
    if own and pixel is None:
        raise ValueError(
            f"'{image}' has the custom_hooks {', '.join(own)}: say by --pixel which "
            'config is its equal with masks for all')
    return [
        Point('image', image),
        *(Point(f'mixed-{ratio:g}', mixed or image, () if mixed else MIXED, ratio)
          for ratio in sorted(ratios)),
        Point('pixel', pixel or image, () if pixel else PIXEL)]
