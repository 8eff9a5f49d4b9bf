from __future__ import annotations

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio

from mmwsfs.registry import TRANSFORMS

VOID = 255


@TRANSFORMS.register_module()
class LoadLabelMap(BaseTransform):
    """Load the mask of an image: 0 = background, 1..C = class, 255 = void.

    Reads ``seg_map_path`` and ``classes`` (C names); adds ``gt_seg_map``,
    (H, W) uint8.

    Raises:
        KeyError: the dataset gives no mask.
        FileNotFoundError: the mask file is missing.
        ValueError: the file is no label map, or has labels that are no class.
    """

    def transform(self, results: dict) -> dict:
        if 'seg_map_path' not in results:
            raise KeyError(
                'LoadLabelMap needs masks, but the dataset gives none: set '
                'with_masks=True or take LoadLabelMap out of the pipeline')
        path = results['seg_map_path']
        label_map = mmcv.imfrombytes(
            fileio.get(path), flag='unchanged', backend='pillow')
        if label_map.ndim != 2 or label_map.dtype != np.uint8:
            raise ValueError(
                f"mask '{path}' is no label map: it must be an 8-bit grey or palette "
                f'image, not {label_map.shape} {label_map.dtype}')
        unknown = np.setdiff1d(
            label_map, [*range(len(results['classes']) + 1), VOID])
        if unknown.size:
            raise ValueError(
                f"mask '{path}' has unknown labels {unknown.tolist()}: allowed are 0 "
                f"(background), 1..{len(results['classes'])} and {VOID} (void)")
        results['gt_seg_map'] = label_map
        results['seg_fields'].append('gt_seg_map')
        return results
