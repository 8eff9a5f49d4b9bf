"""LoadImageFromFile: MMCV's pixels, but for files whose grey MMCV clips."""
from __future__ import annotations

from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
from mmcv.transforms import loading
from PIL import Image

from mmwsfs.datasets import LoadImageFromFile
from mmwsfs.registry import TRANSFORMS

PILLOW = dict(imdecode_backend='pillow')


@pytest.fixture
def grey(tmp_path: Path) -> Path:
    """A ramp of 16 bits."""
    path = tmp_path / 'grey.png'
    ramp = np.linspace(0, 65535, 64 * 32).astype(np.uint16).reshape(32, 64)
    Image.fromarray(ramp).save(path)
    return path


def test_real_photographs(shared_data: Path) -> None:
    """All that the published numbers rest on: bit by bit MMCV's."""
    ours, theirs = LoadImageFromFile(**PILLOW), loading.LoadImageFromFile(**PILLOW)
    paths = [
        *sorted(shared_data.glob('VOCdevkit/VOC2012/JPEGImages/*.jpg'))[::9],
        *sorted(shared_data.glob('coco/images/*.jpg'))[::5]]
    assert len(paths) > 50
    for path in paths:
        expected = theirs(dict(img_path=str(path)))
        loaded = ours(dict(img_path=str(path)))
        assert loaded.keys() == expected.keys()
        assert np.array_equal(loaded['img'], expected['img'])
        assert loaded['img'].dtype == np.uint8
        assert loaded['img_shape'] == loaded['ori_shape'] == expected['ori_shape']


def test_a_config_gets_it_under_the_same_name_and_key() -> None:
    """Cached features of before are found: their key holds the transforms' text."""
    built = TRANSFORMS.build(dict(type='LoadImageFromFile', **PILLOW))
    assert type(built) is LoadImageFromFile
    assert repr(built) == repr(loading.LoadImageFromFile(**PILLOW))


def test_16_bit_grey(grey: Path) -> None:
    """Scaled, not clipped; as OpenCV shows it, to a level."""
    loaded = LoadImageFromFile(**PILLOW)(dict(img_path=str(grey)))['img']
    assert loaded.mean() == pytest.approx(127.5, abs=0.5)
    assert loading.LoadImageFromFile(**PILLOW)(
        dict(img_path=str(grey)))['img'].mean() > 250
    assert np.abs(loaded - mmcv.imread(grey, backend='cv2').astype(int)).max() <= 1


@pytest.mark.parametrize('settings', [
    dict(imdecode_backend='cv2'), dict(PILLOW, color_type='grayscale'),
    dict(PILLOW, to_float32=True), dict(PILLOW, ignore_empty=True)])
def test_other_settings_are_mmcvs(tmp_path: Path, settings: dict) -> None:
    path = tmp_path / 'image.png'
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    cv2.imwrite(str(path), pixels)
    loaded = LoadImageFromFile(**settings)(dict(img_path=str(path)))['img']
    expected = loading.LoadImageFromFile(**settings)(dict(img_path=str(path)))['img']
    assert loaded.dtype == expected.dtype and np.array_equal(loaded, expected)


def test_an_empty_place_is_left_where_that_is_asked_for(tmp_path: Path) -> None:
    results = dict(img_path=str(tmp_path / 'none.png'))
    assert LoadImageFromFile(ignore_empty=True, **PILLOW)(dict(results)) is None
    with pytest.raises(FileNotFoundError):
        LoadImageFromFile(**PILLOW)(dict(results))
