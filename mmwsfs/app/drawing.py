"""How a drawing on a photograph becomes a mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np


class DrawnArea(NamedTuple):
    """A drawing.

    Attributes:
        strokes: (H, W) bool, where the brush was.
        filled: (H, W) bool, the same and what it encloses.
    """

    strokes: np.ndarray
    filled: np.ndarray

    @property
    def encloses(self) -> bool:
        """Whether it is a line around something, such as a box."""
        return bool(self.filled.sum() > 2 * self.strokes.sum())


def drawn_area(layers: Sequence[np.ndarray]) -> DrawnArea | None:
    """Where the layers of an editor are painted; None where nobody drew.

    Args:
        layers: (H, W, 4) uint8, RGBA, transparent where nobody drew.
    """
    strokes = np.any([layer[..., 3] > 127 for layer in layers], axis=0)
    if not np.any(strokes):
        return None
    # What the outside cannot reach is enclosed.
    outside = np.pad(strokes, 1).astype(np.uint8)
    cv2.floodFill(outside, None, (0, 0), (2, ))
    return DrawnArea(strokes, outside[1:-1, 1:-1] != 2)


def limit(alike: np.ndarray, area: DrawnArea) -> np.ndarray:
    """Of all that is like a drawing, what the drawing means.

    Inside a line that encloses something, that is what is inside; of a stroke or a
    point, the regions that it touches, and itself.

    Args:
        alike: (H, W) bool.
        area: the drawing, of the same size.

    Returns:
        np.ndarray: (H, W) bool; never empty.
    """
    if area.encloses:
        inside = alike & area.filled
        return inside if inside.any() else area.filled
    _, regions = cv2.connectedComponents((alike | area.strokes).astype(np.uint8))
    return np.isin(regions, regions[area.strokes])


def stretch(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mask at another (height, width), bool."""
    return cv2.resize(
        mask.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST) > 0
