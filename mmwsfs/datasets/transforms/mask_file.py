from __future__ import annotations

import mmcv
import numpy as np
from mmengine import fileio


def read_mask(results: dict, transform: str) -> np.ndarray:
    """The pixels of an image's mask file, of a palette image its indices.

    Args:
        results: with ``seg_map_path`` and, where the image was loaded before, its
            ``ori_shape``.
        transform: name of the transform that asks, for the message.

    Returns:
        np.ndarray: (H, W) or (H, W, channels), of the image's size.

    Raises:
        KeyError: the dataset gives no mask.
        FileNotFoundError: the mask file is missing.
        ValueError: the file is damaged or of another size than the image.
    """
    if 'seg_map_path' not in results:
        raise KeyError(
            f'{transform} needs masks, but the dataset gives none: set '
            f'with_masks=True or take {transform} out of the pipeline')
    path = results['seg_map_path']
    content = fileio.get(path)
    try:
        mask = mmcv.imfrombytes(content, flag='unchanged', backend='pillow')
    except Exception as error:
        raise ValueError(f"mask '{path}' cannot be read: {error}") from error
    if mask.shape[:2] != tuple(results.get('ori_shape', mask.shape[:2])):
        raise ValueError(
            f"mask '{path}' is {mask.shape[:2]}, but its image "
            f"{tuple(results['ori_shape'])} pixels (height, width)")
    return mask
