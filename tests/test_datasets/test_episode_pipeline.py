"""The pipelines that datasets build from an image size are those of the protocol."""
from __future__ import annotations

from collections.abc import Callable

import pytest

from mmwsfs.datasets import (
    Coco20iDataset,
    EpisodeKey,
    FewShotFolderDataset,
    Pascal5iDataset,
)
from mmwsfs.datasets.episode_pipeline import episode_pipeline

LOAD = dict(type='LoadImageFromFile', imdecode_backend='pillow')
RESIZE = dict(type='Resize', scale=(400, 400), backend='pillow')
LABEL_MAP = dict(type='LoadLabelMap')
COCO = dict(type='LoadCocoLabelMap')
OBJECT = dict(type='LoadObjectMask')
SOFT = dict(type='LoadObjectMask', threshold=128)
VOC = (Pascal5iDataset, dict(fold=0, lists='splits/pascal5i'), LABEL_MAP)
SOURCES = dict(
    pascal=VOC,
    coco=(Coco20iDataset, dict(fold=0, lists='splits/coco20i'), COCO),
    folders=(FewShotFolderDataset, dict(novel='cat'), OBJECT),
    soft=(FewShotFolderDataset, dict(novel='cat', mask_threshold=128), SOFT),
    tags=(FewShotFolderDataset, dict(novel='cat', tags='tags.csv'), LABEL_MAP))


def written(query: list[dict], support: list[dict]) -> list[dict]:
    """A pipeline as one writes it by hand."""
    return [dict(type='EpisodeTransform', query=query, support=support),
            dict(type='PackEpisodeInputs')]


def steps(transforms: Callable) -> list[str]:
    return [type(transform).__name__ for transform in transforms]


@pytest.mark.parametrize('source', SOURCES)
@pytest.mark.parametrize('masks', ['all', 0.1, 'some.txt'])
def test_training_with_masks(source: str, masks: str | float) -> None:
    """Masks are loaded before the resize, which they follow: queries' and supports'."""
    kind, settings, mask = SOURCES[source]
    dataset = kind(
        split='trn', masks=masks, img_size=400, lazy_init=True, **settings)
    assert dataset.default_pipeline() == written(
        [LOAD, mask, RESIZE], [LOAD, mask, RESIZE])


@pytest.mark.parametrize('source', SOURCES)
@pytest.mark.parametrize('split', ['trn', 'val'])
def test_without_masks(source: str, split: str) -> None:
    """No mask loader, whatever is said of supports."""
    kind, settings, _ = SOURCES[source]
    for support_masks in (None, True, False):
        dataset = kind(
            split=split, masks='none', support_masks=support_masks, img_size=400,
            lazy_init=True, **settings)
        assert dataset.default_pipeline() == written([LOAD, RESIZE], [LOAD, RESIZE])


@pytest.mark.parametrize('source', SOURCES)
def test_testing(source: str) -> None:
    """A query is scored at its own size; supports' masks are resized, if asked for."""
    kind, settings, mask = SOURCES[source]
    for support_masks, support in ((None, [LOAD, RESIZE]), (False, [LOAD, RESIZE]),
                                   (True, [LOAD, mask, RESIZE])):
        dataset = kind(
            split='val', img_size=400, support_masks=support_masks, lazy_init=True,
            **settings)
        assert dataset.default_pipeline() == written([LOAD, RESIZE, mask], support)


def test_training_without_masks_of_supports() -> None:
    dataset = Pascal5iDataset(
        split='trn', img_size=400, support_masks=False, lazy_init=True, **VOC[1])
    assert dataset.default_pipeline() == written(
        [LOAD, LABEL_MAP, RESIZE], [LOAD, RESIZE])


def test_it_is_built(tiny_dataset: Callable[..., Pascal5iDataset]) -> None:
    """What is said is what an item goes through."""
    dataset = tiny_dataset(img_size=48, support_masks=True, pipeline=None)
    transform, pack = dataset.pipeline.transforms
    assert steps(transform.query.transforms) == [
        'LoadImageFromFile', 'Resize', 'LoadLabelMap']
    assert steps(transform.support.transforms) == [
        'LoadImageFromFile', 'LoadLabelMap', 'Resize']
    item = dataset[0]
    sample = item['data_samples']
    assert item['inputs']['query'].shape == (3, 48, 48)
    assert sample.support_masks.shape == (1, 1, 48, 48)
    assert sample.gt_sem_seg.shape == sample.ori_shape == (40, 50)
    item = tiny_dataset(split='trn', img_size=48, pipeline=None)[EpisodeKey(0, 1)]
    assert item['data_samples'].gt_sem_seg.shape == (48, 48)


def test_a_written_pipeline_wins(
        tiny_dataset: Callable[..., Pascal5iDataset],
        make_pipeline: Callable[..., list[dict]]) -> None:
    """A base config may give an image size."""
    dataset = tiny_dataset(
        img_size=48, support_masks=True, pipeline=make_pipeline(query_mask=True))
    item = dataset[0]
    assert item['inputs']['query'].shape == (3, 32, 32)
    assert 'support_masks' not in item['data_samples']


@pytest.mark.parametrize('img_size', [None, 0, -8, 400.0, '400', (400, 400), True])
def test_bad_sizes(
        tiny_dataset: Callable[..., Pascal5iDataset], img_size: object) -> None:
    """None is what one gets who gives neither a size nor a pipeline."""
    with pytest.raises(ValueError, match=(
            r'img_size=.* must be a whole number of pixels.*; or give a pipeline')):
        tiny_dataset(img_size=img_size, pipeline=None)


def test_bad_support_masks(tiny_dataset: Callable[..., Pascal5iDataset]) -> None:
    """A word would count as true."""
    with pytest.raises(ValueError, match="support_masks='none' must be True, False"):
        tiny_dataset(img_size=48, support_masks='none')


def test_a_threshold_is_of_class_folders() -> None:
    """A label map has none; the loader refuses values out of its range."""
    settings = dict(split='val', novel='cat', img_size=48, lazy_init=True)
    with pytest.raises(ValueError, match='mask_threshold=128 .* label maps: leave it'):
        FewShotFolderDataset(tags='tags.csv', mask_threshold=128, **settings)
    with pytest.raises(ValueError, match=r'threshold=0 is not in 1\.\.255'):
        FewShotFolderDataset(mask_threshold=0, **settings)


def test_for_images_alone() -> None:
    """Without a dataset: no mask unless one is given."""
    assert episode_pipeline(400) == written([LOAD, RESIZE], [LOAD, RESIZE])
    assert episode_pipeline(400, query_mask=COCO, score_at_original_size=True) == (
        written([LOAD, RESIZE, COCO], [LOAD, RESIZE]))


def test_a_child_says_its_loader() -> None:
    """A dataset of another package needs the property alone."""
    class Listed(Pascal5iDataset):
        mask_loader = SOFT

    dataset = Listed(split='val', img_size=400, lazy_init=True, **VOC[1])
    assert dataset.default_pipeline()[0]['query'] == [LOAD, RESIZE, SOFT]
