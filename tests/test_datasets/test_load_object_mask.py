"""LoadObjectMask: masks of one class, and what is made of them in an episode."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmwsfs.datasets import LoadLabelMap, LoadObjectMask
from mmwsfs.registry import TRANSFORMS

CLASSES = ('ant', 'bee', 'cow')
OBJECT = np.array([[0, 1, 1], [0, 0, 1]], bool)


def results(path: Path, **more) -> dict:
    return dict(
        seg_map_path=str(path), seg_fields=[], classes=CLASSES, object_class=2, **more)


def save(path: Path, pixels: np.ndarray, mode: str | None = None) -> Path:
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path)
    return path


@pytest.mark.parametrize('value', [1, 15, 255])
@pytest.mark.parametrize('mode', ['L', 'P', 'RGB', 'RGBA'])
def test_any_one_value_is_the_object(tmp_path: Path, value: int, mode: str) -> None:
    """Grey, palette (by index) and colour files."""
    path = tmp_path / 'mask.png'
    pixels = np.uint8(OBJECT * value)
    if mode == 'P':
        image = Image.fromarray(pixels, mode='L')
        image.putpalette([9, 8, 7] * 256)
        image.save(path)
    else:
        save(path, pixels, mode)
    loaded = LoadObjectMask()(results(path))
    assert loaded['gt_seg_map'].dtype == np.uint8
    assert np.array_equal(loaded['gt_seg_map'], OBJECT)
    assert loaded['seg_labels'] == {2}
    assert loaded['seg_fields'] == ['gt_seg_map']


def test_one_bit_file(tmp_path: Path) -> None:
    """White is as bright as in a file of 8 bits, with a threshold as well."""
    path = save(tmp_path / 'mask.png', np.uint8(OBJECT * 255), '1')
    for threshold in (None, 128):
        loaded = LoadObjectMask(threshold)(results(path))
        assert np.array_equal(loaded['gt_seg_map'], OBJECT)


def test_16_bits_are_called_by_name(tmp_path: Path) -> None:
    """Not colours: the file is as grey as can be."""
    path = save(tmp_path / 'mask.png', np.uint16(OBJECT * 65535))
    with pytest.raises(ValueError, match='is a 16-bit one: save it with 8 bits') as err:
        LoadObjectMask(threshold=1)(results(path))
    assert 'colour' not in str(err.value)


def test_void_beside_another_value(tmp_path: Path) -> None:
    """As VOC paints a single object: its index, and 255 around it."""
    path = save(tmp_path / 'mask.png', np.array([[0, 12, 255]], np.uint8))
    assert LoadObjectMask()(results(path))['gt_seg_map'].tolist() == [[0, 1, 255]]


def test_threshold_for_soft_edges(tmp_path: Path) -> None:
    """Many values are refused unless a threshold says what they mean."""
    path = save(tmp_path / 'mask.png', np.array([[0, 1, 127, 128, 255]], np.uint8))
    with pytest.raises(ValueError, match=r"mask\.png'.* has 3, 1\.\.128: .*threshold"):
        LoadObjectMask()(results(path))
    for threshold, expected in ((128, [0, 0, 0, 1, 1]), (1, [0, 1, 1, 1, 1])):
        loaded = LoadObjectMask(threshold=threshold)(results(path))
        assert loaded['gt_seg_map'].tolist() == [expected]
    for threshold in (0, 256):
        with pytest.raises(ValueError, match=f'threshold={threshold} is not in 1..255'):
            LoadObjectMask(threshold=threshold)


@pytest.mark.parametrize('pixels', [
    np.full((2, 3, 3), (255, 0, 0), np.uint8),
    np.full((2, 3, 4), (0, 0, 0, 9), np.uint8),
    np.full((2, 3), 70, np.uint16)])
def test_no_black_and_white(tmp_path: Path, pixels: np.ndarray) -> None:
    """A colour, transparency or 16 bits: their meaning is not guessed."""
    with pytest.raises(
            ValueError, match=r"mask\.png' of class 'bee' must be an 8-bit image in b"):
        LoadObjectMask()(results(save(tmp_path / 'mask.png', pixels)))


def test_errors(tmp_path: Path) -> None:
    path = save(tmp_path / 'mask.png', np.zeros((2, 3), np.uint8))
    with pytest.raises(ValueError, match=r"mask\.png' of class 'bee' marks nothing"):
        LoadObjectMask()(results(path))
    with pytest.raises(ValueError, match=r'is \(2, 3\), but its image \(4, 6\)'):
        LoadObjectMask()(results(path, ori_shape=(4, 6)))
    with pytest.raises(KeyError, match="masks='all' or take LoadObjectMask out"):
        LoadObjectMask()(dict(seg_fields=[]))
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(ValueError, match=r"mask '.*mask\.png' cannot be read"):
        LoadObjectMask()(results(path))
    with pytest.raises(FileNotFoundError, match=r'absent\.png'):
        LoadObjectMask()(results(tmp_path / 'absent.png'))


def test_the_two_kinds_of_masks_are_not_mixed_up(tmp_path: Path) -> None:
    """A binary mask is no label map: its 255 would be void, its 1 another class."""
    path = save(tmp_path / 'mask.png', np.uint8(OBJECT))
    with pytest.raises(KeyError, match='of one class: take LoadObjectMask'):
        LoadLabelMap()(results(path))
    label_map = results(path)
    del label_map['object_class']
    with pytest.raises(KeyError, match='are label maps: take LoadLabelMap'):
        LoadObjectMask()(label_map)


@pytest.mark.parametrize('area', [1, 9, 40])
def test_soft_edges_are_no_object(tmp_path: Path, area: int) -> None:
    """A few pixels of grey round a white object: white is not void, they no object."""
    pixels = np.zeros((40, 40), np.uint8)
    pixels[5:35, 5:35] = 255
    pixels[5, 5:35] = pixels[34, 5:15] = 128
    if area < 40:
        pixels[pixels == 128] = 255
        pixels[20:20 + int(area ** 0.5), 20:20 + int(area ** 0.5)] = 128
    path = save(tmp_path / 'mask.png', pixels)
    with pytest.raises(ValueError, match=(
            rf"mask\.png'.* has {area} pixels of 128 beside {900 - area} of 255, which "
            'cannot be void.*threshold=128')):
        LoadObjectMask()(results(path))
    soft = LoadObjectMask(threshold=128)(results(path))['gt_seg_map']
    assert np.array_equal(soft, pixels > 0)


def test_void_of_real_masks(shared_data: Path) -> None:
    """VOC's void covers up to 16 times the object and is void all the same."""
    folder = shared_data / 'VOCdevkit/VOC2012/SegmentationClassAug'
    covered = 0
    for path in sorted(folder.glob('*.png')):
        label_map = np.array(Image.open(path))
        labels = np.setdiff1d(label_map, [0, 255])
        if len(labels) == 1:
            loaded = LoadObjectMask()(results(path))['gt_seg_map']
            assert np.array_equal(loaded == 1, label_map == labels[0])
            assert np.array_equal(loaded == 255, label_map == 255)
            covered += (loaded == 255).sum() > (loaded == 1).sum()
    assert covered >= 8


def test_a_class_that_the_mask_is_not_of(tmp_path: Path) -> None:
    """A mask of one class cannot show what else the lists say of its image."""
    path = save(tmp_path / 'mask.png', np.uint8(OBJECT))
    with pytest.raises(ValueError, match=(
            r"of class 'bee' does not show class 3 \('cow'\), for which the lists")):
        LoadObjectMask()(results(path, labels=[2, 3]))
    assert LoadObjectMask()(results(path, labels=[2]))['seg_labels'] == {2}


@pytest.mark.parametrize('number', [2, 255, 700])
def test_packed_by_class(number: int) -> None:
    """1 is the image's own class, whatever its number; for the other ways nothing."""
    label_map = np.array([[0, 1, 255]], np.uint8)
    image = dict(
        img=np.zeros((1, 3, 3), np.uint8), img_path='a.jpg', ori_shape=(1, 3),
        img_shape=(1, 3), gt_seg_map=label_map, seg_labels={number},
        object_class=number)
    sample = TRANSFORMS.build(dict(type='PackEpisodeInputs'))(dict(
        query=image, supports=[[image], [image]], class_ids=[1, number], episode=0,
        presence=[True, False]))['data_samples']
    assert sample.gt_sem_seg.data.tolist() == [[[0, 2, 255]]]
    assert sample.support_masks.tolist() == [[[[0, 0, 0]]], [[[0, 1, 0]]]]
    assert sample.gt_presence.tolist() == [False, True]
