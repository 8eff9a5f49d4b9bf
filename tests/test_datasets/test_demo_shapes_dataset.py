"""The dataset that makes its own images."""
from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from mmwsfs.datasets import DemoShapesDataset, demo_shapes_dataset
from mmwsfs.datasets.demo_shapes import DEMO_CLASSES, make_demo_shapes
from mmwsfs.registry import DATASETS


@pytest.fixture(autouse=True)
def few_images(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Make few and small images, and note where."""
    made = []

    def make(root: str) -> None:
        made.append(Path(root))
        partial(make_demo_shapes, train_images=10, val_images=10, size=64)(root)

    monkeypatch.setattr(demo_shapes_dataset, 'make_demo_shapes', make)
    return made


def build(root: Path, split: str, **kwargs) -> DemoShapesDataset:
    return DATASETS.build(dict(
        type='DemoShapesDataset', data_root=str(root), lists='splits/demo', fold=1,
        split=split, **kwargs))


def test_images_are_made_once(tmp_path: Path, few_images: list[Path],
                              make_pipeline) -> None:
    """The demo needs no preparation, and a second dataset finds the same images."""
    root = tmp_path / 'data/demo_shapes'
    train = build(root, 'trn', masks='none', pipeline=make_pipeline())
    image = next((root / 'VOCdevkit/VOC2012/JPEGImages').iterdir())
    stamp = image.stat().st_mtime_ns
    val = build(root, 'val', way=2, pipeline=make_pipeline(True, True))
    assert few_images == [root]
    assert image.stat().st_mtime_ns == stamp
    assert train.class_ids == [1, 2, 3, 4, 5, *range(11, 21)]
    assert val.class_ids == [6, 7, 8, 9, 10]
    assert val.metainfo['classes'] == DEMO_CLASSES
    assert train[3]['inputs']['query'].shape == (3, 32, 32)
    item = val[3]
    assert item['inputs']['support'].shape == (2, 1, 3, 32, 32)
    sample = item['data_samples']
    assert sample.gt_sem_seg.data.shape == (1, 64, 64)
    assert sample.support_masks.flatten(1).any(dim=1).all()


def test_an_existing_folder_is_left_alone(
        tmp_path: Path, few_images: list[Path]) -> None:
    """A folder that is there is read, whatever it holds, and never written to."""
    (tmp_path / 'mine').mkdir()
    with pytest.raises(FileNotFoundError, match=r'splits/demo/val/fold1\.txt'):
        build(tmp_path / 'mine', 'val', pipeline=[])
    assert few_images == [] and not list((tmp_path / 'mine').iterdir())
