"""The one decoder of images, for the model and for pictures of what it does."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from mmengine import fileio
from PIL import Image, ImageOps, UnidentifiedImageError

_CANVAS = (124, 117, 104)  # mmcv's, under transparent grey
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
    white. Anything else is what ``mmcv.imfrombytes(..., backend='pillow')`` gives.

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


@contextmanager
def open_image(content: bytes) -> Iterator[Image.Image]:
    """Open what an image file holds, and let the block read it.

    Raises:
        OSError: it is damaged or no image that Pillow knows.
        ValueError: it has so many pixels that Pillow takes it for a trap.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            yield image
    except UnidentifiedImageError:  # names a place in memory
        raise OSError('it is no image that Pillow knows') from None
    except Image.DecompressionBombError as error:
        raise ValueError(
            f'it is too large ({error}): make it smaller') from None


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
