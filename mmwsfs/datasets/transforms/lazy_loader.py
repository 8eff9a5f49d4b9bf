from __future__ import annotations

import hashlib
import os
from functools import cache, partial

import numpy as np
import torch
from mmcv.transforms import Compose, Resize, loading
from mmengine import fileio
from PIL import Image
from torch import Tensor

from mmwsfs.structures import LazyImage
from mmwsfs.utils.image_file import is_16_bit, open_image

from .load_image_from_file import LoadImageFromFile
from .mask_loader import MaskLoader

_ORIENTATION, _TURNED = 0x0112, (5, 6, 7, 8)  # of EXIF: width and height swapped
_PNG_EXIF = (b'eXIf', b'exif', b'xmp')  # one of these is in a PNG with EXIF
# MMCV's: in a config of another scope.
IMAGE_LOADERS = (LoadImageFromFile, loading.LoadImageFromFile)


def to_tensor(image: np.ndarray) -> Tensor:
    """(H, W, 3) -> (3, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def _is_turned(image: Image.Image, content: bytes) -> bool:
    """Whether the decoder swaps width and height, as EXIF asks."""
    if image.format == 'TIFF':  # Pillow gives the size after turning
        return False
    if image.format == 'PNG' and not any(word in content for word in _PNG_EXIF):
        return False  # asking would decode it, since its EXIF may come last
    return image.getexif().get(_ORIENTATION) in _TURNED


def _inspect(path: str) -> tuple[str, tuple[int, int]]:
    """What tells a file's content, and the image's (height, width); not decoded."""
    state = os.stat(path)
    return _inspect_version(path, state.st_mtime_ns, state.st_size)


@cache
def _inspect_version(path: str, *version: int) -> tuple[str, tuple[int, int]]:
    content = fileio.get(path)
    try:
        with open_image(content) as image:
            width, height = image.size
            if _is_turned(image, content):
                width, height = height, width
            # Their pixels were once clipped: features cached then are of no use.
            depth = ' 16-bit' if is_16_bit(image) else ''
    except Exception as error:  # whatever a damaged file makes the readers raise
        raise ValueError(f"image '{path}' is damaged or none: {error}") from error
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    return digest + depth, (height, width)


def _read(path: str, transforms: Compose) -> Tensor:
    try:
        return to_tensor(transforms(dict(img_path=path))['img'])
    except Exception as error:
        raise RuntimeError(f"image '{path}': {error}") from error


class LazyLoader:
    """Image transforms of which only the label loading is done at once.

    Args:
        transforms: the transforms of a query or a support.
    """

    def __init__(self, transforms: Compose) -> None:
        self._all = transforms.transforms
        self._pixels = Compose([
            t for t in self._all if isinstance(t, (loading.LoadImageFromFile, Resize))])
        self._labels = Compose([
            t for t in self._all if not isinstance(t, loading.LoadImageFromFile)])

    @property
    def supported(self) -> bool:
        """Whether the pixels are the same every time, and of a size known before."""
        return all(
            isinstance(t, MaskLoader)
            or (type(t) in IMAGE_LOADERS and t.color_type == 'color'
                and t.imdecode_backend in ('cv2', 'pillow'))  # both turn by EXIF
            or (isinstance(t, Resize) and t.scale and not t.keep_ratio)
            for t in self._all)

    def image(self, path: str) -> LazyImage:
        """An image file, unread but for its key and size."""
        digest, size = _inspect(path)
        for transform in self._pixels.transforms:
            if isinstance(transform, Resize):
                size = tuple(transform.scale[::-1])
        return LazyImage(
            f'{digest} {self._pixels}', size, partial(_read, path, self._pixels))

    def __call__(self, results: dict) -> dict:
        """What the transforms do, but ``img`` is a :class:`LazyImage`."""
        image = self.image(results['img_path'])
        results['ori_shape'] = _inspect(results['img_path'])[1]
        results = self._labels(results)
        results['img'] = image
        results['img_shape'] = image.size
        return results
