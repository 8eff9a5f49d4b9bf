from __future__ import annotations

from abc import abstractmethod

import numpy as np
from mmcv.transforms import BaseTransform


class MaskLoader(BaseTransform):
    """Loads the label map of an image. A child says from where.

    An image to which the dataset deliberately gives no mask (``has_mask=False``:
    mixed supervision) is passed by. To others are added ``gt_seg_map``, (H, W) uint8,
    and ``seg_labels``, the set of class labels that it shows (a later resize may lose
    small objects).
    """

    @abstractmethod
    def load(self, results: dict) -> tuple[np.ndarray, set[int]]:
        """The label map, (H, W) uint8, and its class labels."""

    def transform(self, results: dict) -> dict:
        """Load the mask, if the image carries one."""
        if results.get('has_mask', True):
            results['gt_seg_map'], results['seg_labels'] = self.load(results)
            results['seg_fields'].append('gt_seg_map')
        return results
