from __future__ import annotations

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio

from mmwsfs.registry import TRANSFORMS
from mmwsfs.structures import VOID


@TRANSFORMS.register_module()
class LoadLabelMap(BaseTransform):
    """Load the mask of an image: 0 = background, 1..C = class, 255 = void.

    Reads ``seg_map_path``, ``classes`` (C names) and, where the image was loaded
    before, its ``ori_shape``; adds ``gt_seg_map``, (H, W) uint8, and ``seg_labels``,
    the set of labels in it (a later resize may lose small objects).

    Raises:
        KeyError: the dataset gives no mask.
        FileNotFoundError: the mask file is missing.
        ValueError: the file is damaged, is no label map, is of another size than the
            image, or has labels that are no class.
    """

    def transform(self, results: dict) -> dict:
        if 'seg_map_path' not in results:
            raise KeyError(
                'LoadLabelMap needs masks, but the dataset gives none: set '
                'with_masks=True or take LoadLabelMap out of the pipeline')
        path = results['seg_map_path']
        content = fileio.get(path)
        try:
            label_map = mmcv.imfrombytes(content, flag='unchanged', backend='pillow')
        except Exception as error:
            raise ValueError(f"mask '{path}' cannot be read: {error}") from error
        if label_map.ndim != 2 or label_map.dtype != np.uint8:
            raise ValueError(
                f"mask '{path}' is no label map: it must be an 8-bit grey or palette "
                f'image, not {label_map.shape} {label_map.dtype}')
        if label_map.shape != tuple(results.get('ori_shape', label_map.shape)):
            raise ValueError(
                f"mask '{path}' is {label_map.shape}, but its image "
                f"{tuple(results['ori_shape'])} pixels (height, width)")
        labels = set(np.unique(label_map).tolist())
        unknown = labels - {*range(len(results['classes']) + 1), VOID}
        if unknown:
            raise ValueError(
                f"mask '{path}' has unknown labels {sorted(unknown)}: allowed are 0 "
                f"(background), 1..{len(results['classes'])} and {VOID} (void)")
        results['gt_seg_map'] = label_map
        results['seg_labels'] = labels
        results['seg_fields'].append('gt_seg_map')
        return results
