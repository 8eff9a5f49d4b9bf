"""The episode transforms."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmwsfs.datasets import LoadLabelMap, Pascal5iDataset
from mmwsfs.registry import DATASETS, TRANSFORMS

REPO = Path(__file__).parents[2]
CLASSES = ('ant', 'bee', 'cow')


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A detailed image of 90x60 (width x height) pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'photo.jpg', quality=95)
    return tmp_path / 'photo.jpg'


def pil_resized(path: Path, size: tuple[int, int]) -> np.ndarray:
    """(width, height) -> (height, width, 3) BGR, by Pillow alone."""
    with Image.open(path) as image:
        small = image.convert('RGB').resize(size, Image.Resampling.BILINEAR)
    return np.array(small)[..., ::-1]


def image_dict(path: Path, mask: Path | None = None) -> dict:
    masks = {} if mask is None else dict(seg_map_path=str(mask))
    return dict(img_path=str(path), labels=[], seg_fields=[], **masks)


def episode_dict(
        query: dict, supports: list[list[dict]], class_ids: list[int]) -> dict:
    return dict(episode=9, query=query, supports=supports, class_ids=class_ids,
                classes=CLASSES)


def label_png(path: Path, label_map: np.ndarray) -> Path:
    image = Image.fromarray(label_map.astype(np.uint8))
    image.putpalette([i for n in range(256) for i in (n, 255 - n, 7 * n % 256)])
    image.save(path)
    return path


# ------------------------------------------------------------- resizing
@pytest.mark.parametrize('size', [(48, 32), (32, 48), (140, 100)])
def test_resize_is_pillows(photo: Path, size: tuple[int, int]) -> None:
    """Published numbers rest on Pillow's antialiased resize; OpenCV's differs."""
    transform = TRANSFORMS.build(dict(
        type='EpisodeTransform',
        query=[dict(type='LoadImageFromFile', imdecode_backend='pillow'),
               dict(type='Resize', scale=size, backend='pillow')],
        support=[dict(type='LoadImageFromFile', imdecode_backend='pillow')]))
    results = transform(episode_dict(
        image_dict(photo), [[image_dict(photo)]], [1]))
    assert results['query']['ori_shape'] == (60, 90)
    assert results['query']['img_shape'] == size[::-1]
    assert np.array_equal(results['query']['img'], pil_resized(photo, size))
    support = results['supports'][0][0]['img']
    assert np.array_equal(support, pil_resized(photo, (90, 60)))
    assert not np.array_equal(results['query']['img'], cv2.resize(support, size))


@pytest.mark.parametrize(
    'kind', ['', '_mixed10', '_pixel'])
def test_config_resize_is_pillows(
        photo: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """The configs' pipelines resize the whole image to 400x400 as Pillow does."""
    for key in ('FOLD', 'WAY', 'SHOT'):
        monkeypatch.setenv(f'MMWSFS_{key}', '1')
    mask = label_png(photo.with_suffix('.png'), np.ones((60, 90)))
    cfg = Config.fromfile(REPO / f'configs/wsfs/vit-s_pascal5i_1shot{kind}.py')
    train, test = (
        DATASETS.build(dict(cfg[f'{split}_dataloader'].dataset, lazy_init=True))
        .default_pipeline() for split in ('train', 'test'))
    for pipeline, shape in ((train, (400, 400)), (test, (60, 90))):
        results = episode_dict(
            image_dict(photo, mask), [[image_dict(photo, mask)]], [1])
        for config in pipeline:
            results = TRANSFORMS.build(config)(results)
        expected = pil_resized(photo, (400, 400)).transpose(2, 0, 1)
        assert np.array_equal(results['inputs']['query'].numpy(), expected)
        assert np.array_equal(results['inputs']['support'][0, 0].numpy(), expected)
        sample = results['data_samples']
        if 'gt_sem_seg' in sample:  # in testing the query's mask keeps its size
            assert sample.gt_sem_seg.shape == shape
        testing = pipeline is test
        assert ('gt_sem_seg' in sample) == (kind != '' or testing)
        assert ('support_masks' in sample) == (
            kind == '_pixel' or (kind == '_mixed10' and not testing))


# ------------------------------------------------------------- LoadLabelMap
def test_load_label_map_reads_indices(tmp_path: Path) -> None:
    """Palette images give labels, not colours; 255 stays."""
    label_map = np.array([[0, 1, 2], [3, 255, 0]], np.uint8)
    path = label_png(tmp_path / 'mask.png', label_map)
    results = LoadLabelMap()(dict(
        seg_map_path=str(path), classes=CLASSES, seg_fields=[]))
    assert results['gt_seg_map'].dtype == np.uint8
    assert np.array_equal(results['gt_seg_map'], label_map)
    assert results['seg_fields'] == ['gt_seg_map']
    Image.fromarray(label_map).save(path)  # the same as a grey image
    results = LoadLabelMap()(dict(
        seg_map_path=str(path), classes=CLASSES, seg_fields=[]))
    assert np.array_equal(results['gt_seg_map'], label_map)


def test_load_label_map_errors(tmp_path: Path) -> None:
    """One clear error each for no mask, a missing one, and wrong labels."""
    base = dict(classes=CLASSES, seg_fields=[])
    with pytest.raises(KeyError, match="masks='all' or take LoadLabelMap out"):
        LoadLabelMap()(dict(base))
    with pytest.raises(FileNotFoundError, match='absent.png'):
        LoadLabelMap()(dict(base, seg_map_path=str(tmp_path / 'absent.png')))
    path = label_png(tmp_path / 'mask.png', np.array([[0, 4]]))
    with pytest.raises(
            ValueError, match=r"mask\.png' has unknown labels \[4\].*1\.\.3"):
        LoadLabelMap()(dict(base, seg_map_path=str(path)))


@pytest.mark.parametrize('name', ['LoadLabelMap', 'LoadObjectMask', 'LoadCocoLabelMap'])
def test_an_image_without_mask_is_passed_by(name: str) -> None:
    """Where that is the data set's choice; by accident it stays an error."""
    loader = TRANSFORMS.build(dict(type=name))
    results = dict(img_path='a.jpg', classes=CLASSES, seg_fields=[], has_mask=False)
    assert loader(dict(results)) == results
    for has_mask in ({}, dict(has_mask=True)):
        with pytest.raises(KeyError, match='the dataset gives none: set masks='):
            loader(dict(img_path='a.jpg', classes=CLASSES, seg_fields=[], **has_mask))


def test_a_mask_loader_where_there_are_no_masks(
        tiny_dataset: Callable[..., Pascal5iDataset],
        make_pipeline: Callable[..., list[dict]]) -> None:
    """A pipeline that asks an image-level dataset for masks is told so."""
    dataset = tiny_dataset(masks='none', pipeline=make_pipeline(True))
    with pytest.raises(RuntimeError, match="episode 2, image .*masks='all'"):
        dataset[2]


def test_label_maps_are_resized_without_mixing(tmp_path: Path, photo: Path) -> None:
    """Labels are never interpolated to labels between them."""
    label_map = np.zeros((60, 90), np.uint8)
    label_map[:, 45:] = 3
    label_map[:, 40:45] = 255
    mask = label_png(tmp_path / 'mask.png', label_map)
    transform = TRANSFORMS.build(dict(
        type='EpisodeTransform',
        query=[dict(type='LoadImageFromFile'), dict(type='LoadLabelMap'),
               dict(type='Resize', scale=(32, 32), backend='pillow')],
        support=[]))
    query = transform(episode_dict(image_dict(photo, mask), [], [3]))['query']
    assert query['gt_seg_map'].shape == (32, 32)
    assert set(np.unique(query['gt_seg_map'])) == {0, 3, 255}


# ------------------------------------------------------------- EpisodeTransform
def test_error_names_episode_and_support(tmp_path: Path, photo: Path) -> None:
    """A support that fails is named by its own file, with the cause kept."""
    load = [dict(type='LoadImageFromFile', imdecode_backend='pillow')]
    transform = TRANSFORMS.build(
        dict(type='EpisodeTransform', query=load, support=load))
    broken = tmp_path / 'broken.jpg'
    broken.write_bytes(b'no image')
    with pytest.raises(
            RuntimeError, match=r"episode 9, image '.*broken\.jpg'") as error:
        transform(episode_dict(
            image_dict(photo), [[image_dict(photo)], [image_dict(broken)]], [1, 2]))
    assert error.value.__cause__ is not None


# ------------------------------------------------------------- PackEpisodeInputs
def loaded(seed: int, label_map: np.ndarray | None = None) -> dict:
    """An image of 4x6 pixels as the transforms leave it."""
    image = dict(
        img_path=f'{seed}.jpg', labels=[], ori_shape=(40, 60), img_shape=(4, 6),
        img=np.random.default_rng(seed).integers(0, 256, (4, 6, 3), np.uint8))
    if label_map is not None:
        image['gt_seg_map'] = label_map
        image['seg_labels'] = set(label_map.ravel().tolist())
    return image


def pack(results: dict) -> dict:
    return TRANSFORMS.build(dict(type='PackEpisodeInputs'))(results)


def test_pack_with_masks() -> None:
    """Masks become masks of the ways, in the order of the ways; void stays 255."""
    query = np.array([[0, 1, 2], [3, 255, 3]], np.uint8)
    one, two = np.array([[3, 1, 255]], np.uint8), np.array([[1, 1, 0]], np.uint8)
    results = pack(episode_dict(
        loaded(0, query), [[loaded(1, one), loaded(2, two)],
                           [loaded(3, one), loaded(4, two)]], [3, 1]))
    sample = results['data_samples']
    assert sample.gt_sem_seg.data.dtype == torch.uint8
    assert sample.gt_sem_seg.data.tolist() == [[[0, 2, 0], [1, 255, 1]]]
    assert sample.support_masks.tolist() == [
        [[[1, 0, 0]], [[0, 0, 0]]], [[[0, 1, 0]], [[1, 1, 0]]]]
    assert sample.support_masks.dtype == torch.uint8
    # The masks are right where the image-level labels are wrong.
    assert sample.gt_presence.dtype == torch.bool
    assert sample.gt_presence.tolist() == [True, True]


def test_pack_void_is_no_class() -> None:
    """A query that shows void alone holds no class."""
    query = np.array([[0, 255]], np.uint8)
    sample = pack(episode_dict(
        dict(loaded(0, query), labels=[2]), [[loaded(1)]], [2]))['data_samples']
    assert sample.gt_presence.tolist() == [False]
    assert sample.gt_sem_seg.data.tolist() == [[[0, 255]]]
    assert 'support_masks' not in sample


def test_pack_without_masks() -> None:
    """Without the query's mask presence is the image-level label."""
    support = np.array([[3, 0]], np.uint8)
    results = pack(episode_dict(
        dict(loaded(0), labels=[1, 2]), [[loaded(1, support)], [loaded(2)]], [3, 1]))
    sample = results['data_samples']
    assert sample.gt_presence.tolist() == [False, True]
    assert 'gt_sem_seg' not in sample
    assert 'support_masks' not in sample  # one of two has a mask: not enough


def test_pack_inputs_and_metainfo() -> None:
    """Images keep their place; the sample says which episode it is."""
    supports = [[loaded(1), loaded(2)], [loaded(3), loaded(4)]]
    results = pack(episode_dict(loaded(0), supports, [3, 1]))
    inputs, sample = results['inputs'], results['data_samples']
    assert inputs['query'].shape == (3, 4, 6)
    assert inputs['support'].shape == (2, 2, 3, 4, 6)
    assert inputs['query'].dtype == inputs['support'].dtype == torch.uint8
    assert np.array_equal(
        inputs['query'].permute(1, 2, 0).numpy(), loaded(0)['img'])
    for way in range(2):
        for shot in range(2):
            assert np.array_equal(
                inputs['support'][way, shot].permute(1, 2, 0).numpy(),
                supports[way][shot]['img'])
    assert sample.episode == 9 and sample.class_ids == [3, 1]
    assert sample.query_path == '0.jpg'
    assert sample.support_paths == [['1.jpg', '2.jpg'], ['3.jpg', '4.jpg']]
    assert sample.ori_shape == (40, 60) and sample.img_shape == (4, 6)


@pytest.mark.parametrize('lazy', [False, True])
def test_negatives(photo: Path, lazy: bool) -> None:
    """Photographs of what a way is not go the way of supports; most have none."""
    load = [dict(type='LoadImageFromFile', imdecode_backend='pillow'),
            dict(type='Resize', scale=(8, 6), backend='pillow')]
    transform = TRANSFORMS.build(
        dict(type='EpisodeTransform', query=load, support=load))
    transform.lazy = lazy
    pack = TRANSFORMS.build(dict(type='PackEpisodeInputs'))

    def episode(**more: list) -> dict:
        return pack(transform(dict(episode_dict(
            image_dict(photo), [[image_dict(photo)] for _ in range(2)], [1, 2]),
            **more)))['inputs']

    inputs = episode(negatives=[[image_dict(photo) for _ in range(3)]
                                for _ in range(2)])
    assert inputs['negative'].shape == ((2, 3) if lazy else (2, 3, 3, 6, 8))
    assert inputs['support'].shape == ((2, 1) if lazy else (2, 1, 3, 6, 8))
    if lazy:
        assert inputs['negative'][1, 2].key == inputs['support'][0, 0].key
    else:
        assert torch.equal(inputs['negative'][1, 2], inputs['support'][0, 0])
    assert 'negative' not in episode()


def test_presence_survives_the_resize(tmp_path: Path) -> None:
    """An object of one pixel is present, though a resize loses it from the mask."""
    label_map = np.zeros((40, 40), np.uint8)
    label_map[1, 1] = 2
    photo = tmp_path / 'photo.png'
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(photo)
    mask = label_png(tmp_path / 'mask.png', label_map)
    steps = [dict(type='LoadImageFromFile', imdecode_backend='pillow'),
             dict(type='LoadLabelMap'),
             dict(type='Resize', scale=(8, 8), backend='pillow')]
    results = TRANSFORMS.build(
        dict(type='EpisodeTransform', query=steps, support=steps)).transform(
        episode_dict(image_dict(photo, mask), [[image_dict(photo, mask)]], [2]))
    sample = pack(results)['data_samples']
    assert not (sample.gt_sem_seg.data == 1).any()
    assert sample.gt_presence.tolist() == [True]


@pytest.mark.parametrize('content', [b'', b'garbage', None])
def test_damaged_mask_is_named(tmp_path: Path, content: bytes | None) -> None:
    """Empty, garbage or cut off: the mask file is named, not only its image."""
    path = label_png(tmp_path / 'mask.png', np.arange(4096).reshape(64, 64) % 4)
    whole = path.read_bytes()
    path.write_bytes(whole[:len(whole) // 2] if content is None else content)
    with pytest.raises(ValueError, match=r"mask '.*mask\.png' cannot be read"):
        LoadLabelMap()(dict(
            seg_map_path=str(path), classes=CLASSES, seg_fields=[]))


def test_mask_of_another_size_than_its_image(tmp_path: Path) -> None:
    path = label_png(tmp_path / 'mask.png', np.zeros((4, 6)))
    with pytest.raises(ValueError, match=r'is \(4, 6\), but its image \(6, 4\)'):
        LoadLabelMap()(dict(seg_map_path=str(path), classes=CLASSES, seg_fields=[],
                            ori_shape=(6, 4)))
