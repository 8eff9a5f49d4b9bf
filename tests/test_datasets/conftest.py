"""Fixtures of the datasets' tests."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from coco_files import CLASSES, make_tiny_coco

from mmwsfs.datasets import Coco20iDataset


@pytest.fixture(scope='session')
def tiny_coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of a tiny COCO. All tests share the folder: it is not to be changed."""
    root = tmp_path_factory.mktemp('tiny_coco')
    make_tiny_coco(root)
    return root


@pytest.fixture
def tiny_coco_dataset(tiny_coco: Path) -> Callable[..., Coco20iDataset]:
    """Makes a ``Coco20iDataset`` on ``tiny_coco``: fold 0, val, without transforms, if
    not told other."""
    def build(root: Path = tiny_coco, **kwargs) -> Coco20iDataset:
        settings = dict(
            data_root=str(root), lists='splits/tiny', fold=0, split='val', pipeline=[],
            ann_files=['coco/annotations/instances_train2014.json',
                       'coco/annotations/instances_val2014.json'],
            metainfo=dict(classes=CLASSES), num_episodes=12)
        return Coco20iDataset(**{**settings, **kwargs})
    return build


@pytest.fixture
def coco_pipeline() -> Callable[..., list[dict]]:
    """Makes an episode pipeline as COCO's configs have it, for a small image size."""
    def build(query_mask: bool = True, support_mask: bool = False,
              size: int = 32) -> list[dict]:
        load = dict(type='LoadImageFromFile', imdecode_backend='pillow')
        resize = dict(type='Resize', scale=(size, size), backend='pillow')
        mask = dict(type='LoadCocoLabelMap')
        return [
            dict(
                type='EpisodeTransform',
                query=[load, resize] + [mask] * query_mask,
                support=[load] + [mask] * support_mask + [resize]),
            dict(type='PackEpisodeInputs'),
        ]
    return build
