from __future__ import annotations

import numpy as np

from mmwsfs.registry import TRANSFORMS

from .mask_file import check_8_bit, object_mask, read_mask
from .mask_loader import MaskLoader, check_shown


@TRANSFORMS.register_module()
class LoadObjectMask(MaskLoader):
    """Load the mask of an image that shows one class: 0 = background, else object.

    The object has any one value, such as 255 or 1. Where there is 255 beside another
    value, 255 is void, pixels that are not scored as the object. Colour files are read
    where they are black, white and grey. See
    :func:`~mmwsfs.datasets.transforms.mask_file.object_mask`.

    Reads ``seg_map_path``, ``object_class`` (the class number) and, where the image was
    loaded before, its ``ori_shape``; adds ``gt_seg_map``, (H, W) uint8, 0 = background,
    1 = object, 255 = void, and ``seg_labels``, the set of ``object_class``.

    Args:
        threshold (int, optional): take all pixels of at least this brightness, 1..255,
            as the object; there is no void then. For masks with soft edges, or with
            many values. Defaults to None.

    Raises:
        KeyError: the dataset gives no mask, or label maps.
        FileNotFoundError: the mask file is missing.
        ValueError: the file is damaged, is no such mask, marks nothing, or is of
            another size than the image.
    """

    def __init__(self, threshold: int | None = None) -> None:
        if threshold is not None and not 1 <= threshold <= 255:
            raise ValueError(f'threshold={threshold} is not in 1..255')
        self.threshold = threshold

    def load(self, results: dict) -> tuple[np.ndarray, set[int]]:
        """The label map and its class labels."""
        pixels = read_mask(results, 'LoadObjectMask')
        if 'object_class' not in results:
            raise KeyError(
                'LoadObjectMask reads masks of one class, but those of the dataset are '
                'label maps: take LoadLabelMap')
        name = results['classes'][results['object_class'] - 1]
        what = f"mask '{results['seg_map_path']}' of class '{name}'"
        labels = {results['object_class']}
        check_8_bit(pixels, what)
        check_shown(
            results, labels, what, 'give each class an image and a mask of its own')
        return object_mask(pixels, what, self.threshold), labels
