from __future__ import annotations

import numpy as np
from pycocotools import mask as coco_mask


def _runs(counts: str) -> list[int]:
    """The runs of a compressed RLE: numbers of 5 bits a character, the lowest first;
    from the fourth on, differences from the last but one."""
    runs: list[int] = []
    value = shift = 0
    for code in counts.encode('ascii'):
        bits = code - 48
        if not 0 <= bits < 64 or shift > 30:
            raise ValueError('its RLE is no compressed one')
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError('its RLE is truncated')
    return runs


def object_rle(segmentation: list | dict, size: tuple[int, int]) -> dict:
    """The pixels of an annotated object as compressed RLE of pycocotools.

    Args:
        segmentation: COCO polygons or RLE. What of a polygon is over the border is
            clipped.
        size: (height, width) of the image.

    Raises:
        ValueError: there is no polygon, or one of fewer than 3 points, or one that
            reaches an image's length out of the image: it is another one's; an RLE is
            of another size.
        Exception: it is malformed otherwise, a bare one of pycocotools.
    """
    height, width = size
    if isinstance(segmentation, dict):
        if tuple(segmentation['size']) != size:
            raise ValueError(
                f"its RLE is {segmentation['size']}, its image {list(size)}")
        counts = segmentation['counts']
        runs = counts if isinstance(counts, list) else _runs(counts)
        # pycocotools believes whatever they are, and writes beyond its memory.
        if not all(type(run) is int and run >= 0 for run in runs):
            raise ValueError('its RLE has runs that are no whole numbers from 0 on')
        if sum(runs) != height * width:
            raise ValueError(
                f'its RLE has {sum(runs)} pixels, its image {height * width}')
        if runs is not counts:
            return dict(size=[height, width], counts=counts)
        return coco_mask.frPyObjects(
            dict(size=[height, width], counts=counts), height, width)
    if not segmentation:
        raise ValueError('it has no polygon')
    for polygon in segmentation:
        points = np.asarray(polygon, dtype=float).reshape(-1, 2)
        if len(points) < 3:
            raise ValueError('a polygon has fewer than 3 points')
        near = (points >= (-width, -height)) & (points <= (2 * width, 2 * height))
        if not near.all():
            x, y = points[~near.all(axis=1)][0]
            raise ValueError(
                f'a polygon reaches ({x:g}, {y:g}), outside its image of '
                f'{width}x{height} pixels (width x height) by more than its size')
    return coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
