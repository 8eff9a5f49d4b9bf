"""The configs of the model that comes with the package."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmwsfs.datasets import FewShotConcatDataset
from mmwsfs.registry import DATASETS, MODELS

CONFIGS = Path(__file__).parents[1] / 'configs/wsfs'


@pytest.fixture
def read(shared_data: Path, monkeypatch: pytest.MonkeyPatch):
    """Reads one of the two configs, on the shared photographs."""
    def read(name: str, **variables: str) -> Config:
        for key, value in dict(
                MMWSFS_DATA_ROOT=str(shared_data), MMWSFS_SPLITS='pascal5i_subset',
                MMWSFS_COCO='coco/annotations/instances_subset.json',
                **variables).items():
            monkeypatch.setenv(key, value)
        return Config.fromfile(CONFIGS / name)
    return read


def test_it_builds(read) -> None:
    """A model that takes masks and makes those that are missing, and its photographs.
    """
    cfg = read('cst-photos.py')
    cfg.model.cache = None
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    assert model.supervision == 'mixed' and model.labeler is not None
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert isinstance(dataset, FewShotConcatDataset) and len(dataset.class_ids) == 67
    sizes = {one.img_size for one in dataset.datasets}
    assert sizes == {cfg.test_dataloader.dataset.img_size}
    assert not sizes.pop() % model.backbone.patch_size
    assert {one.masked.share for one in dataset.datasets} == {0.5}


@pytest.mark.parametrize('fold', range(4))
def test_what_is_tested_is_not_trained_on(fold: int, read) -> None:
    """No class of the fold, by either data set's name for it, and no photograph of it.
    """
    cfg = read('cst-photos_pascal5i.py', MMWSFS_FOLD=str(fold))
    train = DATASETS.build(cfg.train_dataloader.dataset)
    test = DATASETS.build(cfg.test_dataloader.dataset)
    test.full_init()
    novel = range(5 * fold + 1, 5 * fold + 6)  # of both: VOC's numbers come first
    assert test.class_ids == list(novel)
    assert not set(train.class_ids) & set(novel)
    classes = train.metainfo['classes']
    voc, coco = train.datasets
    assert {classes[number - 1] for number in novel} == set(coco.leave_out)
    assert not set(voc.labels_of) & set(test.labels_of)
    everything = DATASETS.build(dict(
        cfg.train_dataloader.dataset.datasets[1], leave_out=[]))
    everything.full_init()
    left_out = {coco.metainfo['classes'].index(name) + 1 for name in coco.leave_out}
    assert all(not everything.labels_of[name] & left_out for name in coco.labels_of)
