from __future__ import annotations

import numpy as np

from mmwsfs.registry import TRANSFORMS
from mmwsfs.structures import VOID

from .mask_file import read_mask
from .mask_loader import MaskLoader


@TRANSFORMS.register_module()
class LoadObjectMask(MaskLoader):
    """Load the mask of an image that shows one class: 0 = background, else object.

    The object has any one value, such as 255 or 1. Where there is 255 beside another
    value, 255 is void, pixels that are not scored as the object. Colour files are read
    where they are black, white and grey.

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
        mask = read_mask(results, 'LoadObjectMask')
        if 'object_class' not in results:
            raise KeyError(
                'LoadObjectMask reads masks of one class, but those of the dataset are '
                'label maps: take LoadLabelMap')
        path = results['seg_map_path']
        values = self._one_channel(mask, path)
        if self.threshold is not None:
            label_map = (values >= self.threshold).astype(np.uint8)
        else:
            label_map = self._label_map(values, path)
        if not label_map.any():
            raise ValueError(
                f"mask '{path}' marks nothing, but its image shows "
                f"'{results['classes'][results['object_class'] - 1]}': mark it, or "
                'take the image out')
        return label_map, {results['object_class']}

    @staticmethod
    def _one_channel(mask: np.ndarray, path: str) -> np.ndarray:
        """(H, W) uint8 of a file with any channels."""
        if mask.ndim == 3 and mask.shape[2] == 4 and (mask[..., 3] == 255).all():
            mask = mask[..., :3]  # opaque
        if mask.ndim == 3 and mask.shape[2] == 3 and (mask == mask[..., :1]).all():
            mask = mask[..., 0]
        if mask.ndim != 2 or mask.dtype not in (np.uint8, np.bool_):
            raise ValueError(
                f"mask '{path}' must be an 8-bit image in black and white, but is of "
                f'{mask.dtype}, with colours or transparency')
        return mask.astype(np.uint8)

    @staticmethod
    def _label_map(values: np.ndarray, path: str) -> np.ndarray:
        labels = np.unique(values[values > 0]).tolist()
        if len(labels) > 1 and labels[-1] == VOID:
            labels.pop()
        if len(labels) > 1:
            raise ValueError(
                f"mask '{path}' must have one value beside 0 (background) and 255 "
                f'(void), but has {len(labels)}, {labels[0]}..{labels[-1]}: save it in '
                'two colours, or set threshold=1 (all but 0 is the object) or, for '
                'soft edges, threshold=128 in LoadObjectMask')
        return np.where(
            values == (labels or [VOID])[0], 1,
            np.where(values == VOID, VOID, 0)).astype(np.uint8)
