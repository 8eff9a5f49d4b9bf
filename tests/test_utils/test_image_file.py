"""image_file: pixels of any image file, of 8 bits as MMCV gives them."""
from __future__ import annotations

import io
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cv2
import mmcv
import numpy as np
import pytest
from PIL import Image

from mmwsfs.utils import image_file
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


# ------------------------------------------------------------- a photograph's forms
@pytest.fixture
def photo(shared_data: Path) -> np.ndarray:
    """(H, W, 3) uint8, BGR."""
    path = sorted((shared_data / 'VOCdevkit/VOC2012/JPEGImages').glob('*.jpg'))[3]
    return np.array(Image.open(path).convert('RGB'))[..., ::-1]


def grey_of(photo: np.ndarray) -> np.ndarray:
    return np.array(Image.fromarray(photo[..., ::-1]).convert('L'))


def grey_alpha_png(grey: np.ndarray) -> bytes:
    """Of 16 bits; nothing here writes one."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (struct.pack('>I', len(data)) + kind + data
                + struct.pack('>I', zlib.crc32(kind + data)))
    deep = np.dstack([grey.astype('>u2') * 257, np.full_like(grey, 65535, '>u2')])
    lines = b''.join(b'\0' + row.astype('>u2').tobytes() for row in deep)
    header = struct.pack('>IIBBBBB', *grey.shape[::-1], 16, 4, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header)
            + chunk(b'IDAT', zlib.compress(lines)) + chunk(b'IEND', b''))


@pytest.mark.parametrize('suffix', ['png', 'tiff'])
@pytest.mark.parametrize('channels', ['grey', 'colours', 'alpha'])
def test_a_photograph_of_16_bits(
        photo: np.ndarray, tmp_path: Path, suffix: str, channels: str) -> None:
    """Is the one of 8 bits, whatever its channels: neither white nor black."""
    path = tmp_path / f'deep.{suffix}'
    pixels = {
        'grey': grey_of(photo), 'colours': photo,
        'alpha': np.dstack([photo, np.full_like(photo[..., 0], 255)])}[channels]
    cv2.imwrite(str(path), pixels.astype(np.uint16) * 257)
    expected = photo if channels != 'grey' else np.dstack([pixels] * 3)
    assert np.array_equal(read_image(str(path)), expected)


def test_16_bits_of_grey_with_alpha(photo: np.ndarray, tmp_path: Path) -> None:
    """The fourth kind of PNG."""
    path = tmp_path / 'deep.png'
    path.write_bytes(grey_alpha_png(grey_of(photo)))
    assert np.array_equal(read_image(str(path)), np.dstack([grey_of(photo)] * 3))


def test_16_bits_of_colour_to_one_level(tmp_path: Path) -> None:
    """Of all 65536 values, of which few are an 8-bit one."""
    path, values = tmp_path / 'deep.png', np.arange(65536).reshape(256, 256)
    cv2.imwrite(str(path), np.dstack([values] * 3).astype(np.uint16))
    found = read_image(str(path)).astype(int)
    assert np.abs(found - (values / 257)[..., None]).max() <= 1


@pytest.mark.parametrize('suffix', ['gif', 'webp', 'png', 'tiff'])
def test_the_first_of_several_pictures(
        photo: np.ndarray, tmp_path: Path, suffix: str) -> None:
    """Of animations, and of a document's pages."""
    path = tmp_path / f'many.{suffix}'
    first = Image.fromarray(photo[..., ::-1])
    first.save(
        path, save_all=True, append_images=[Image.new('RGB', first.size, 'red')])
    with Image.open(path) as image:
        assert image.n_frames > 1
    found = read_image(str(path)).astype(int)
    assert found.shape == photo.shape and np.abs(found - photo).mean() < 6


@pytest.mark.parametrize('mode', ['RGB', 'L', 'P', '1', 'RGBA', 'LA'])
def test_one_pixel(tmp_path: Path, mode: str) -> None:
    """Is an image."""
    Image.new('RGB', (1, 1), 'white').convert(mode).save(tmp_path / 'one.png')
    assert (read_image(str(tmp_path / 'one.png')) == np.full((1, 1, 3), 255)).all()


EPS = b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n'


@pytest.mark.parametrize(('damage', 'message'), [
    (lambda jpeg: b'', 'it is empty'),
    (lambda jpeg: jpeg[:len(jpeg) // 2], 'truncated'),
    (lambda jpeg: jpeg[:100], 'truncated|Truncated'),
    (lambda jpeg: b'text', 'it is no image that Pillow knows'),
    (lambda jpeg: b'%PDF-1.4', 'it is no image that Pillow knows'),
    (lambda jpeg: EPS, 'it is EPS, a program that draws'),
])
def test_damaged_files(photo: np.ndarray, tmp_path: Path,
                       damage: Callable[[bytes], bytes], message: str) -> None:
    """One sentence each; no half of a photograph, and no program of it is run."""
    content = io.BytesIO()
    Image.fromarray(photo[..., ::-1]).save(content, 'JPEG')
    path = tmp_path / 'image.jpg'
    path.write_bytes(damage(content.getvalue()))
    with pytest.raises(OSError, match=message):
        read_image(str(path))


# ------------------------------------------------------------- HEIC
HEIC = b'\0\0\0\x18ftypmif1\0\0\0\0mif1heic'


@pytest.fixture
def heic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that says it is HEIC, and no package for it."""
    monkeypatch.setitem(sys.modules, 'pillow_heif', None)
    image_file._read_heic.cache_clear()
    path = tmp_path / 'image.heic'
    path.write_bytes(HEIC)
    return path


def test_heic_without_its_package(heic: Path) -> None:
    """The message says what to install."""
    with pytest.raises(OSError, match=r'it is HEIC: pip install mmwsfs\[heic\]'):
        read_image(str(heic))


def test_heic_asks_for_its_package_alone(
        heic: Path, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Registered for the first HEIC, once, and for nothing else: AVIF neither."""
    calls: list[int] = []
    monkeypatch.setitem(sys.modules, 'pillow_heif', SimpleNamespace(
        register_heif_opener=lambda: calls.append(1)))
    for suffix in ('jpg', 'png', 'avif', 'webp'):
        path = heic.with_suffix(f'.{suffix}')
        try:
            Image.fromarray(photo[..., ::-1]).save(path)
        except (KeyError, OSError, ValueError):  # Pillow without AVIF
            continue
        read_image(str(path))
    assert calls == []
    for _ in range(2):
        with pytest.raises(OSError, match='no image that Pillow knows'):
            read_image(str(heic))
    assert calls == [1]
    image_file._read_heic.cache_clear()


def test_a_photograph_as_heic(photo: np.ndarray, tmp_path: Path) -> None:
    """As a telephone saves it."""
    pillow_heif = pytest.importorskip('pillow_heif')
    path = tmp_path / 'photo.heic'
    pillow_heif.from_pillow(Image.fromarray(photo[..., ::-1])).save(path, quality=95)
    found = read_image(str(path))
    assert found.shape == photo.shape
    assert np.abs(found.astype(int) - photo).mean() < 4
