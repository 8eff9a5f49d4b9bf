"""The one decoder of images, for the model and for pictures of what it does."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module

import numpy as np
from mmengine import fileio
from PIL import Image, ImageOps, UnidentifiedImageError

_CANVAS = (124, 117, 104)  # mmcv's, under transparent grey
# Brands of still pictures and of sequences; AVIF, another codec, has its own.
_HEIC = (b'heic', b'heix', b'heim', b'heis', b'hevc', b'hevx', b'hevm', b'hevs')
_BITS, _PHOTOMETRIC, _BLACK_IS_ZERO = 258, 262, 1  # tags of TIFF


def is_16_bit(image: Image.Image) -> bool:
    """Whether an image has 16 bits of grey a pixel (colours of 16 bits, Pillow reads
    as 8)."""
    return image.mode.startswith('I;16') or (
        image.mode == 'I' and image.format in ('PNG', 'PPM'))


def _check_depth(image: Image.Image) -> None:
    tags = getattr(image, 'tag_v2', {})
    if is_16_bit(image):
        bits, = tags.get(_BITS, (16, ))
        right = bits == 16 and tags.get(_PHOTOMETRIC, _BLACK_IS_ZERO) == _BLACK_IS_ZERO
        kind = f'{bits}-bit grey of photometric {tags.get(_PHOTOMETRIC)}'
    else:
        right = image.mode not in ('I', 'F')
        kind = '32-bit grey'
    if not right:
        raise ValueError(
            f'it is {kind}, of which nobody knows what is white: save it with 8 bits')


def to_bgr(image: Image.Image) -> np.ndarray:
    """The pixels of a Pillow image, turned as EXIF says.

    16-bit grey becomes 8-bit, value / 257 rounded, where Pillow itself would clip it to
    white. Of 16-bit colours Pillow keeps the upper 8 bits: the same, to one level.
    Anything else is what ``mmcv.imfrombytes(..., backend='pillow')`` gives.

    Returns:
        np.ndarray: (H, W, 3) uint8, BGR.

    Raises:
        ValueError: it has 32 bits a pixel, or another depth whose white is not known.
    """
    _check_depth(image)
    deep = is_16_bit(image)
    image = ImageOps.exif_transpose(image)
    if deep:
        values = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if image.mode == 'LA':
        colours = image.convert('RGBA')
        image = Image.new('RGB', image.size, _CANVAS)
        image.paste(colours, mask=colours.getchannel('A'))
    return np.array(image.convert('RGB'))[..., ::-1]


def _is_heic(content: bytes) -> bool:
    """Whether a file says at its beginning that it is HEIC, among other brands."""
    end = min(int.from_bytes(content[:4], 'big'), 128)
    return content[4:8] == b'ftyp' and any(
        content[start:start + 4] in _HEIC for start in range(8, end, 4))


@cache
def _read_heic() -> None:
    """Have Pillow read HEIC from now on; nothing else is worth the import.

    Raises:
        OSError: the package for it is not installed.
    """
    try:
        pillow_heif = import_module('pillow_heif')
    except ImportError:
        raise OSError(
            'it is HEIC: pip install mmwsfs[heic], or save it as JPEG') from None
    pillow_heif.register_heif_opener()


@contextmanager
def open_image(content: bytes) -> Iterator[Image.Image]:
    """Open what an image file holds, and let the block read it.

    Of several pictures (GIF, a telephone's burst) it is the first. HEIC is read where
    ``pillow-heif`` is installed.

    Raises:
        OSError: it is empty, damaged or no image that Pillow knows; or HEIC, which
            nothing is installed for.
        ValueError: it has so many pixels that Pillow takes it for a trap.
    """
    if not content:
        raise OSError('it is empty')
    if _is_heic(content):
        _read_heic()
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.format == 'EPS':  # Pillow has Ghostscript run what it holds
                raise OSError('it is EPS, a program that draws: save it as PNG')
            yield image
    except UnidentifiedImageError:  # names a place in memory
        raise OSError('it is no image that Pillow knows') from None
    except Image.DecompressionBombError as error:
        size = str(error).split(', could')[0]  # be an attack
        raise ValueError(f'it is too large ({size}): make it smaller') from None


def read_image(path: str, backend_args: dict | None = None) -> np.ndarray:
    """Read an image file; see :func:`to_bgr`.

    Args:
        path: local, or of any backend of MMEngine's ``fileio``.
        backend_args: of that backend. Defaults to None.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: it is damaged or no image that Pillow knows.
        ValueError: as :func:`open_image` and :func:`to_bgr`.
    """
    content = fileio.get(path, backend_args=backend_args)
    with open_image(content) as image:
        return to_bgr(image)
