"""A mask as polygons: one a component, its holes cut in."""

from __future__ import annotations

import cv2
import numpy as np

_TOLERANCE = 0.4  # pixels that a simplified outline may be off: no pixel changes
_PAIRS = 10**6  # of points that are compared at once


def mask_polygons(mask: np.ndarray) -> list[np.ndarray]:
    """The outlines of a mask's components (of pixels that touch, at corners too).

    A hole is joined to the outline by a slit of no width, along which the polygon goes
    in and comes back: filled by the even-odd rule, or by a program that draws what it
    fills, it stays a hole.

    Args:
        mask: (H, W), not 0 where the object is.

    Returns:
        list[np.ndarray]: of every component (K, 2) int32, x and y of K >= 3 pixels on
        its rim. Pixels of the rim are of the object.
    """
    contours, hierarchy = cv2.findContours(
        (np.asarray(mask) != 0).astype(np.uint8), cv2.RETR_CCOMP,
        cv2.CHAIN_APPROX_NONE)
    polygons = []
    for number, contour in enumerate(contours):
        _, _, child, parent = hierarchy[0][number]
        if parent >= 0:  # a hole
            continue
        holes = []
        while child >= 0:
            holes.append(_simple(contours[child]))
            child = hierarchy[0][child][0]
        polygons.append(_with_holes(_simple(contour), holes))
    return polygons


def _simple(contour: np.ndarray) -> np.ndarray:
    """(K, 2), at least three points: what is smaller has one twice."""
    points = cv2.approxPolyDP(contour, _TOLERANCE, True)[:, 0]
    return np.pad(points, ((0, max(0, 3 - len(points))), (0, 0)), mode='edge')


def _with_holes(outline: np.ndarray, holes: list[np.ndarray]) -> np.ndarray:
    """Join the nearest hole again and again: no slit crosses another hole."""
    nearest = [_nearest(outline, hole) for hole in holes]
    while holes:
        number = min(range(len(holes)), key=lambda index: nearest[index][0])
        hole, (_, here, there) = holes.pop(number), nearest.pop(number)
        start = int(np.flatnonzero((outline == here).all(1))[0])
        turn = int(np.flatnonzero((hole == there).all(1))[0])
        hole = np.roll(hole, -turn, axis=0)
        outline = np.concatenate([
            outline[:start + 1], hole, hole[:1], outline[start:]])
        for index, other in enumerate(holes):
            nearest[index] = min(
                nearest[index], _nearest(hole, other), key=lambda pair: pair[0])
    return outline


def _nearest(points: np.ndarray, hole: np.ndarray
             ) -> tuple[int, np.ndarray, np.ndarray]:
    """Squared distance and the pair: of the points, of the hole."""
    pairs = []
    step = max(1, _PAIRS // len(points))
    for start in range(0, len(hole), step):
        part = hole[start:start + step]
        distances = ((points[:, None] - part[None])**2).sum(2)
        here, there = np.unravel_index(distances.argmin(), distances.shape)
        pairs.append((int(distances[here, there]), points[here], part[there]))
    return min(pairs, key=lambda pair: pair[0])
