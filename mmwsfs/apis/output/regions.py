"""How large a class is in a label map, and where."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np


def class_areas(label_map: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
    """Class -> share of all pixels, 0..1.

    Args:
        label_map: (H, W) uint8, 0 = background, 1..N = class.
        classes: N names.
    """
    counts = np.bincount(label_map.ravel(), minlength=len(classes) + 1)
    return {name: float(count / label_map.size)
            for name, count in zip(classes, counts[1:])}


def class_boxes(label_map: np.ndarray,
                classes: Sequence[str]) -> dict[str, tuple[int, int, int, int]]:
    """Class -> left, top, width and height of all its pixels; without pixels, none.

    Args:
        label_map: (H, W) uint8, 0 = background, 1..N = class.
        classes: N names.
    """
    boxes = {}
    for label, name in enumerate(classes, start=1):
        left, top, width, height = cv2.boundingRect(
            (label_map == label).astype(np.uint8))
        if width:
            boxes[name] = (left, top, width, height)
    return boxes
