from __future__ import annotations

import numpy as np
from pycocotools import mask as coco_mask


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
        if not isinstance(counts, list):
            return segmentation
        if sum(counts) != height * width:
            raise ValueError(
                f'its RLE has {sum(counts)} pixels, its image {height * width}')
        return coco_mask.frPyObjects(segmentation, height, width)
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
