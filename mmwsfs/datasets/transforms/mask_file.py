"""What masks are: the files, and what marks an object in one."""

from __future__ import annotations

import cv2
import mmcv
import numpy as np
from mmengine import fileio
from PIL import UnidentifiedImageError

from mmwsfs.structures import VOID

# So many times an object's area void never is: 16 times at most in VOC 2012.
_MOST_VOID = 32


def read_mask_file(path: str) -> np.ndarray:
    """The pixels of a mask file, of a palette image its indices.

    Returns:
        np.ndarray: (H, W) or (H, W, channels), as many bits as the file has; bool of a
        1-bit file.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is damaged.
    """
    try:
        return mmcv.imfrombytes(fileio.get(path), flag='unchanged', backend='pillow')
    except FileNotFoundError:
        raise FileNotFoundError(f"mask '{path}' does not exist") from None
    except UnidentifiedImageError:
        raise ValueError(
            f"mask '{path}' cannot be read: Pillow knows no such image") from None
    except Exception as error:
        raise ValueError(f"mask '{path}' cannot be read: {error}") from error


def check_8_bit(mask: np.ndarray, what: str) -> None:
    """Raise a ValueError where a mask image has more than 8 bits a channel."""
    if mask.dtype not in (np.uint8, np.bool_):
        raise ValueError(
            f'{what} must be an 8-bit image in black and white, but is a '
            f'{8 * mask.itemsize}-bit one: save it with 8 bits')


def check_mask_size(mask: np.ndarray, size: tuple[int, int], what: str) -> None:
    """Raise a ValueError where a mask is not of its image's (height, width)."""
    if mask.shape[:2] != tuple(size):
        raise ValueError(
            f'{what} is {mask.shape[:2]}, but its image {tuple(size)} pixels (height, '
            'width)')


def read_mask(results: dict, transform: str) -> np.ndarray:
    """The pixels of an image's mask file: :func:`read_mask_file`, of the image's size.

    Args:
        results: with ``seg_map_path`` and, where the image was loaded before, its
            ``ori_shape``.
        transform: name of the transform that asks, for the message.

    Raises:
        KeyError: the dataset gives no mask.
        FileNotFoundError: the mask file is missing.
        ValueError: the file is damaged, or of another size than the image.
    """
    if 'seg_map_path' not in results:
        raise KeyError(
            f"{transform} needs masks, but the dataset gives none: set masks='all' or "
            f'take {transform} out of the pipeline')
    path = results['seg_map_path']
    mask = read_mask_file(path)
    check_mask_size(mask, results.get('ori_shape', mask.shape[:2]), f"mask '{path}'")
    return mask


def object_mask(pixels: np.ndarray, what: str,
                threshold: int | None = None) -> np.ndarray:
    """The mask of one object, whatever value marks it.

    The object has any one value, such as 255 or 1. Where there is 255 beside another
    value, 255 is void, pixels that are not scored as the object.

    Args:
        pixels: (H, W), or with channels that are all equal and opaque; bool or
            integers.
        what: it is, for messages.
        threshold: take all pixels of at least this brightness, 1..255, as the object;
            there is no void then. For masks with soft edges, or with many values.
            Defaults to None.

    Returns:
        np.ndarray: (H, W) uint8, 0 = background, 1 = object, 255 = void.

    Raises:
        ValueError: it has colours, transparency or fractions, marks nothing, or has
            several values.
    """
    values, of_threshold = _one_channel(pixels, what), ''
    if threshold is not None:
        mask = (values >= threshold).astype(np.uint8)
        of_threshold = f' of at least threshold={threshold}'
    else:
        value = _object_value(values, what)
        mask = np.where(
            values == value, 1, np.where(values == VOID, VOID, 0)).astype(np.uint8)
    if not mask.any():
        raise ValueError(
            f'{what} marks nothing{of_threshold}: mark the pixels of the class, or '
            'take the image out')
    return mask


def _one_channel(pixels: np.ndarray, what: str) -> np.ndarray:
    """(H, W) integers; of bool, True is white."""
    values = pixels
    if values.ndim == 3:
        if values.shape[2] in (2, 4) and (values[..., -1] == 255).all():
            values = values[..., :-1]  # opaque
        if values.shape[2] in (1, 3) and (values == values[..., :1]).all():
            values = values[..., 0]
    if values.ndim != 2 or values.dtype.kind not in 'bui':
        raise ValueError(
            f'{what} must be an 8-bit image in black and white, or one channel (H, W) '
            f'of bool or integers, but is {pixels.shape} {pixels.dtype}, with colours, '
            'transparency or fractions')
    return values * np.uint8(255) if values.dtype == np.bool_ else values


def _object_value(values: np.ndarray, what: str) -> int:
    """The value that marks the object; 255 where nothing does."""
    labels = np.unique(values[(values != 0) & (values != VOID)]).tolist()
    if not labels:
        return VOID
    mends = (
        'save it in two colours, or set threshold=1 (all but 0 is the object) or, for '
        'soft edges, threshold=128 in LoadObjectMask')
    if len(labels) > 1:
        raise ValueError(
            f'{what} must have one value beside 0 (background) and {VOID} (void), but '
            f'has {len(labels)}, {labels[0]}..{labels[-1]}: {mends}')
    region = (values == labels[0]).astype(np.uint8)
    area, void = int(region.sum()), int((values == VOID).sum())
    # An edge of the object in 255 is thin; an object among void is not.
    thin = not cv2.erode(region, np.ones((3, 3), np.uint8)).any()
    if void > (area if thin else _MOST_VOID * area):
        raise ValueError(
            f'{what} has {area} pixels of {labels[0]} beside {void} of {VOID}, which '
            f'cannot be void around so small an object: {mends}')
    return labels[0]
