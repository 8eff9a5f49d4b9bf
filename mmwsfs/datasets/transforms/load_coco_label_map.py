from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform
from pycocotools import mask as coco_mask

from mmwsfs.registry import TRANSFORMS
from mmwsfs.structures import VOID


@TRANSFORMS.register_module()
class LoadCocoLabelMap(BaseTransform):
    """Draw the label map of an image from COCO annotations.

    0 = background, 1..C = class, 255 = void. Crowd regions are void, under all objects;
    objects are painted from the largest to the smallest area (ties: by id), so that a
    small object stays visible on a larger one.

    Reads ``coco`` (see :class:`~mmwsfs.datasets.coco_annotations.CocoAnnotations`) and,
    where the image was loaded before, its ``ori_shape``; adds ``gt_seg_map``, (H, W)
    uint8, and ``seg_labels``, the set of labels in it.

    Raises:
        KeyError: the dataset gives no annotations.
        ValueError: the image has another size than its annotations say, or an object's
            segmentation is malformed or reaches out of the image.
    """

    def transform(self, results: dict) -> dict:
        if 'coco' not in results:
            raise KeyError(
                'LoadCocoLabelMap needs annotations, but the dataset gives none: set '
                'with_masks=True or take LoadCocoLabelMap out of the pipeline')
        coco = results['coco']
        size = tuple(coco['size'])
        if size != tuple(results.get('ori_shape', size)):
            raise ValueError(
                f"'{coco['file']}' says that the image is {size}, but it is "
                f"{tuple(results['ori_shape'])} pixels (height, width)")
        label_map = np.zeros(size, np.uint8)
        for item in sorted(coco['objects'],
                           key=lambda o: (not o['crowd'], -o['area'], o['id'])):
            label = VOID if item['crowd'] else item['class_id']
            label_map[self._region(item, size, coco['file'])] = label
        results['gt_seg_map'] = label_map
        results['seg_labels'] = set(np.unique(label_map).tolist())
        results['seg_fields'].append('gt_seg_map')
        return results

    @staticmethod
    def _region(item: dict, size: tuple[int, int], file: str) -> np.ndarray:
        """(H, W) bool: an object's pixels."""
        where = f"'{file}', annotation {item['id']}"
        segmentation = item['segmentation']
        height, width = size
        try:
            if isinstance(segmentation, dict):
                if tuple(segmentation['size']) != size:
                    raise ValueError(
                        f"its RLE is {segmentation['size']}, its image {list(size)}")
                if isinstance(segmentation['counts'], list):
                    segmentation = coco_mask.frPyObjects(segmentation, height, width)
                return coco_mask.decode(segmentation).astype(bool)
            for polygon in segmentation:
                points = np.asarray(polygon, dtype=float).reshape(-1, 2)
                if len(points) < 3:
                    raise ValueError('a polygon has fewer than 3 points')
                # Annotators' outlines may lie on the rim, a pixel beyond the last one.
                outside = (points < -1) | (points > (width + 1, height + 1))
                if outside.any():
                    x, y = points[outside.any(axis=1)][0]
                    raise ValueError(
                        f'a polygon reaches ({x:g}, {y:g}), outside its image of '
                        f'{width}x{height} pixels (width x height)')
            parts = coco_mask.frPyObjects(segmentation, height, width)
            return coco_mask.decode(coco_mask.merge(parts)).astype(bool)
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f'{where}: {error}') from error
