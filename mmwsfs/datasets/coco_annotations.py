from __future__ import annotations

import contextlib
import io
import json
import logging
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import print_log
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mmwsfs.utils.file_names import normal_name
from mmwsfs.utils.json_text import parse_json
from mmwsfs.utils.text_file import read_text

from .coco_region import object_rle

_LONGEST = 65535  # pixels a side


def read_coco(file: Path, classes: Sequence[str]) -> tuple[COCO, dict[int, int]]:
    """Read a COCO JSON file and check what the datasets rely on.

    Args:
        file: COCO JSON file.
        classes: class names, of number 1 first. A category belongs to the class of its
            name.

    Returns:
        tuple: the file's content, and category id -> class number.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it is truncated or no COCO JSON; the name of a category that an
            annotation has is no class; an annotation has a category that the file does
            not define.
    """
    if not file.is_file():
        raise FileNotFoundError(
            f"annotation file '{file}' does not exist: set data_root and ann_files")
    text = read_text(file, 'annotation file')
    coco = COCO()
    try:
        coco.dataset = parse_json(text, any_float=True)
        if not isinstance(coco.dataset, dict):
            raise TypeError('it is no object')
        with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
            coco.createIndex()
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"annotation file '{file}' is truncated or no COCO JSON: {error!r}"
        ) from error
    for key in ('images', 'annotations', 'categories'):
        if key not in coco.dataset:
            raise ValueError(f"annotation file '{file}' has no '{key}'")
        _check_ids(coco.dataset[key], f"annotation file '{file}', {key}")
    names = list(map(normal_name, classes))
    numbers = {}
    for category_id, category in coco.cats.items():
        name = category.get('name')
        if isinstance(name, str) and normal_name(name) in names:
            numbers[category_id] = names.index(normal_name(name)) + 1
    for annotation_id, annotation in coco.anns.items():
        category_id = annotation['category_id']
        if isinstance(category_id, bool):
            raise ValueError(
                f"annotation file '{file}': annotation {annotation_id} has the "
                f'category_id {category_id}, which is no number')
        if category_id not in coco.cats:
            raise ValueError(
                f"annotation file '{file}': annotation {annotation_id} has category_id "
                f"{category_id}, which is not among the file's categories")
        if category_id not in numbers:  # of others none is asked: nothing has them
            raise ValueError(
                f"annotation file '{file}': category {category_id} "
                f"({coco.cats[category_id].get('name')!r}) is no class of the dataset; "
                f'its classes are {list(classes)}')
    return coco, numbers


def _check_ids(items: list[dict], where: str) -> None:
    """That each has a number of its own: pycocotools takes the last of two."""
    seen = set()
    for item in items:
        number = item['id']
        if type(number) is not int or number in seen:
            fault = 'is there twice' if number in seen else 'is no whole number'
            raise ValueError(f'{where}: id {number!r} {fault}')
        seen.add(number)


def _image_size(image: dict) -> tuple[int, int]:
    """(height, width)."""
    size = image['height'], image['width']
    if not all(type(side) is int and 0 < side <= _LONGEST for side in size):
        raise ValueError(
            f"image {image['id']} has height {size[0]!r} and width {size[1]!r}, which "
            f'must be whole numbers in 1..{_LONGEST}')
    return size


def object_area(coco: COCO, annotation: dict) -> float:
    """Pixels of an object: ``area`` or, where that is none, its segmentation's.

    Raises:
        ValueError: there is no area, and the segmentation is malformed.
    """
    area = annotation.get('area')
    if type(area) in (int, float) and 0 <= area < math.inf:
        return area
    segmentation = annotation.get('segmentation')
    if segmentation in ([], None):
        return 0
    image = coco.imgs[annotation['image_id']]
    try:
        return int(coco_mask.area(
            object_rle(segmentation, _image_size(image))))
    except Exception as error:  # pycocotools raises a bare one
        raise ValueError(
            f"annotation {annotation['id']} has no area but {area!r}, and a malformed "
            f'segmentation: {error}') from error


def _over_border(segmentation: object, size: tuple[int, int]) -> bool:
    """Whether a polygon has points more than a pixel beyond the last one.

    Annotators' outlines may lie on the rim. What is malformed is told when it is
    painted.
    """
    if not isinstance(segmentation, list):
        return False
    try:
        return any(
            min(polygon) < -1 or max(polygon[::2]) > size[1] + 1
            or max(polygon[1::2]) > size[0] + 1 for polygon in segmentation)
    except (TypeError, ValueError):
        return False


class CocoAnnotations:
    """Object annotations by image id, from COCO JSON files.

    An image's annotations are kept as JSON text until they are asked for: worker
    processes then share the memory of a whole COCO. Objects without a segmentation, as
    of boxes alone, are left out; polygons may reach over the border, where they are
    clipped when they are painted. Both are counted in a warning for each file.

    Args:
        files: COCO JSON files.
        classes: class names, of number 1 first.
        image_ids: the images to keep.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: no file is given; a file is malformed (:func:`read_coco`), or lacks
            a field of an image or an annotation.
    """

    def __init__(self, files: Sequence[Path], classes: Sequence[str],
                 image_ids: set[int]) -> None:
        if not files:
            raise ValueError(
                'masks are asked for, but ann_files is empty: name COCO JSON files, '
                "or set masks='none'")
        self._texts: dict[int, bytes] = {}
        for file in files:
            coco, numbers = read_coco(file, classes)
            faults: Counter[str] = Counter()
            for image_id in image_ids & coco.imgs.keys():
                try:
                    content = self._content(coco, numbers, image_id, faults)
                except KeyError as error:
                    raise ValueError(
                        f"annotation file '{file}': image {image_id} or one of its "
                        f'annotations has no {error}') from error
                except ValueError as error:
                    raise ValueError(f"annotation file '{file}': {error}") from error
                self._texts[image_id] = json.dumps(
                    dict(file=str(file), **content)).encode()
            for fault, count in faults.items():
                print_log(
                    f"annotation file '{file}': {count} objects {fault}", 'current',
                    logging.WARNING)

    @staticmethod
    def _content(coco: COCO, numbers: dict[int, int], image_id: int,
                 faults: Counter[str]) -> dict:
        image = coco.imgs[image_id]
        size = _image_size(image)
        objects = []
        for annotation in coco.imgToAnns[image_id]:
            segmentation = annotation['segmentation']
            if segmentation in ([], None):
                faults['have no segmentation and are left out'] += 1
                continue
            crowd = annotation.get('iscrowd', 0)
            if crowd not in (0, 1):
                raise ValueError(
                    f"annotation {annotation['id']} has iscrowd {crowd!r}, not 0 or 1")
            if _over_border(segmentation, size):
                faults['reach over the border of their image and are clipped'] += 1
            objects.append(dict(
                id=annotation['id'],
                class_id=numbers[annotation['category_id']],
                area=object_area(coco, annotation),
                crowd=bool(crowd),
                segmentation=segmentation))
        return dict(size=size, objects=objects)

    def __contains__(self, image_id: int) -> bool:
        return image_id in self._texts

    def __getitem__(self, image_id: int) -> dict:
        """``file`` (str), ``size`` (height, width) and ``objects``, a list of dicts
        ``id``, ``class_id``, ``area`` (pixels), ``crowd`` (bool) and ``segmentation``
        (COCO polygons or RLE)."""
        return json.loads(self._texts[image_id])
