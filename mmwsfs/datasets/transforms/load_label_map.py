from __future__ import annotations

import numpy as np

from mmwsfs.registry import TRANSFORMS
from mmwsfs.structures import VOID

from .mask_file import read_mask
from .mask_loader import MaskLoader, check_shown


@TRANSFORMS.register_module()
class LoadLabelMap(MaskLoader):
    """Load the mask of an image: 0 = background, 1..C = class, 255 = void.

    Reads ``seg_map_path``, ``classes`` (C names) and, where the image was loaded
    before, its ``ori_shape``; adds ``gt_seg_map``, (H, W) uint8, and ``seg_labels``,
    the set of labels in it (a later resize may lose small objects).

    Raises:
        KeyError: the dataset gives no mask, or masks of a single class.
        FileNotFoundError: the mask file is missing.
        ValueError: the file is damaged, is no label map, is of another size than the
            image, has labels that are no class, or does not show a class for which
            the lists name the image (``labels``).
    """

    def load(self, results: dict) -> tuple[np.ndarray, set[int]]:
        """The label map and its class labels."""
        label_map = read_mask(results, 'LoadLabelMap')
        if 'object_class' in results:
            raise KeyError(
                'LoadLabelMap reads label maps, but each mask of the dataset is of one '
                'class: take LoadObjectMask')
        path = results['seg_map_path']
        if label_map.ndim != 2 or label_map.dtype != np.uint8:
            raise ValueError(
                f"mask '{path}' is no label map: it must be an 8-bit grey or palette "
                f'image, not {label_map.shape} {label_map.dtype}')
        labels = set(np.unique(label_map).tolist())
        unknown = labels - {*range(len(results['classes']) + 1), VOID}
        if unknown:
            raise ValueError(
                f"mask '{path}' has unknown labels {sorted(unknown)}: allowed are 0 "
                f"(background), 1..{len(results['classes'])} and {VOID} (void)")
        check_shown(
            results, labels, f"mask '{path}' with the values {sorted(labels)}",
            'paint each class with its number (a mask in black and white, or of '
            "instances, is no label map), or correct the lists")
        return label_map, labels
