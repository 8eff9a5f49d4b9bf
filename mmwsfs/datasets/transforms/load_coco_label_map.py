from __future__ import annotations

import numpy as np
from pycocotools import mask as coco_mask

from mmwsfs.datasets.coco_region import object_rle
from mmwsfs.registry import TRANSFORMS
from mmwsfs.structures import VOID

from .mask_loader import MaskLoader, check_shown


@TRANSFORMS.register_module()
class LoadCocoLabelMap(MaskLoader):
    """Draw the label map of an image from COCO annotations.

    0 = background, 1..C = class, 255 = void. Crowd regions are void, under all objects;
    objects are painted from the largest to the smallest area (ties: by id), so that a
    small object stays visible on a larger one.

    Reads ``coco`` (see :class:`~mmwsfs.datasets.coco_annotations.CocoAnnotations`) and,
    where the image was loaded before, its ``ori_shape``; adds ``gt_seg_map``, (H, W)
    uint8, and ``seg_labels``, the set of labels in it.

    Raises:
        KeyError: the dataset gives no annotations.
        ValueError: the image has another size than its annotations say; they lack a
            class for which the lists name the image (``labels``); an object's
            segmentation is malformed or reaches far out of the image.
    """

    def load(self, results: dict) -> tuple[np.ndarray, set[int]]:
        """The label map and its class labels."""
        if 'coco' not in results:
            raise KeyError(
                'LoadCocoLabelMap needs annotations, but the dataset gives none: set '
                "masks='all' or take LoadCocoLabelMap out of the pipeline")
        coco = results['coco']
        size = tuple(coco['size'])
        if size != tuple(results.get('ori_shape', size)):
            raise ValueError(
                f"annotation file '{coco['file']}' says that the image is {size}, but "
                f"it is {tuple(results['ori_shape'])} pixels (height, width)")
        # Not what is painted: a small object may lie under a smaller one.
        check_shown(
            results, {item['class_id'] for item in coco['objects']},
            f"annotation file '{coco['file']}'",
            'annotate the class in the image, or correct the lists')
        label_map = np.zeros(size, np.uint8)
        for item in sorted(coco['objects'],
                           key=lambda o: (not o['crowd'], -o['area'], o['id'])):
            label = VOID if item['crowd'] else item['class_id']
            try:
                label_map[self._region(item['segmentation'], size)] = label
            except Exception as error:  # pycocotools raises a bare one
                raise ValueError(
                    f"annotation file '{coco['file']}': annotation {item['id']} has a "
                    f'malformed segmentation: {error}') from error
        return label_map, set(np.unique(label_map).tolist())

    @staticmethod
    def _region(segmentation: list | dict, size: tuple[int, int]) -> np.ndarray:
        """(H, W) bool: an object's pixels."""
        return coco_mask.decode(object_rle(segmentation, size)).astype(bool)
