from __future__ import annotations

from abc import abstractmethod

import numpy as np
from mmcv.transforms import BaseTransform


def check_shown(results: dict, shown: set[int], what: str, mend: str) -> None:
    """Compare a mask with the lists.

    Args:
        results: with ``classes``, names, and, where lists name the image, ``labels``,
            the numbers from 1 of the classes for which they do.
        shown: the class labels of the mask.
        what: the mask, for the message.
        mend: what to do, for the message.

    Raises:
        ValueError: the lists name the image for a class that the mask does not show.
    """
    missing = sorted(set(results.get('labels', ())) - shown)
    if missing:
        names = ', '.join(
            f"class {number} ('{results['classes'][number - 1]}')"
            for number in missing)
        raise ValueError(
            f'{what} does not show {names}, for which the lists name its image: {mend}')


class MaskLoader(BaseTransform):
    """Loads the label map of an image. A child says from where, and compares it with
    the classes for which the lists name the image (:func:`check_shown`).

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
