"""image_file: pixels of any image file, of 8 bits as MMCV gives them."""
from __future__ import annotations

import io
from pathlib import Path

import mmcv
import numpy as np
import pytest
from PIL import Image

from mmwsfs.utils.image_file import read_image, to_bgr

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


def levels(value: int) -> np.ndarray:
    return np.full((20, 30), value, np.uint16)


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize(('mode', 'suffix'), [
    ('RGB', 'jpg'), ('RGB', 'png'), ('RGB', 'webp'), ('RGB', 'tiff'), ('RGB', 'bmp'),
    ('L', 'png'), ('L', 'jpg'), ('1', 'png'), ('P', 'png'), ('P', 'gif'),
    ('RGBA', 'png'), ('LA', 'png'), ('CMYK', 'jpg'), ('CMYK', 'tiff')])
def test_8_bits_as_of_mmcv(
        tmp_path: Path, mode: str, suffix: str, orientation: int) -> None:
    """Every mode that Pillow reads, however the camera was held."""
    path = tmp_path / f'image.{suffix}'
    image = Image.fromarray(np.dstack([PIXELS, PIXELS[..., 0]])).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, **dict(exif=exif) if suffix not in ('bmp', 'gif') else {})
    pixels = read_image(str(path))
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, mmcv.imread(path, backend='pillow'))
    with Image.open(io.BytesIO(path.read_bytes())) as opened:
        assert np.array_equal(to_bgr(opened), pixels)


@pytest.mark.parametrize('suffix', ['png', 'tiff', 'pgm', 'jp2'])
@pytest.mark.parametrize(('value', 'level'), [
    (0, 0), (128, 0), (129, 1), (257, 1), (385, 1), (386, 2), (32896, 128),
    (65535, 255)])
def test_16_bits_are_scaled(
        tmp_path: Path, suffix: str, value: int, level: int) -> None:
    """value / 257, rounded, in all channels, whatever the format."""
    path = tmp_path / f'image.{suffix}'
    Image.fromarray(levels(value)).save(path)
    pixels = read_image(str(path))
    assert pixels.shape == (20, 30, 3) and pixels.dtype == np.uint8
    assert (pixels == level).all()


def test_16_bits_are_turned(tmp_path: Path) -> None:
    """As any other image: EXIF says how the camera was held."""
    path = tmp_path / 'image.png'
    exif = Image.Exif()
    exif[0x0112] = 6
    ramp = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    Image.fromarray(ramp).save(path, exif=exif)
    assert np.array_equal(
        read_image(str(path))[..., 0], np.rot90((ramp + 128) // 257, -1))


@pytest.mark.parametrize('values', [
    levels(70).astype(np.int32), levels(70).astype(np.float32)])
def test_other_depths_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    """What is white in 32 bits nobody knows; Pillow would clip at 255."""
    path = tmp_path / 'image.tiff'
    Image.fromarray(values).save(path)
    with pytest.raises(ValueError, match='it is 32-bit grey.*save it with 8 bits'):
        read_image(str(path))
    with pytest.raises(ValueError, match='it is 32-bit grey'):
        to_bgr(Image.fromarray(values))


@pytest.mark.parametrize(('tags', 'kind'), [
    ({262: 0}, '16-bit grey of photometric 0'), ({258: 12}, '12-bit grey')])
def test_16_bits_of_another_white_are_refused(
        tmp_path: Path, tags: dict, kind: str) -> None:
    """TIFF may count from white down, or hold 12 bits, as microscopes do."""
    path = tmp_path / 'image.tiff'
    Image.fromarray(levels(70)).save(path)
    content = bytearray(path.read_bytes())
    start = int.from_bytes(content[4:8], 'little')
    for entry in range(start + 2, start + 2 + 12 * content[start], 12):
        tag = int.from_bytes(content[entry:entry + 2], 'little')
        if tag in tags:
            content[entry + 8:entry + 10] = tags[tag].to_bytes(2, 'little')
    path.write_bytes(content)
    with pytest.raises(ValueError, match=kind):
        read_image(str(path))
