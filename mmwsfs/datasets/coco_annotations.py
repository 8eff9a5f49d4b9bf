from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Sequence
from pathlib import Path

from pycocotools.coco import COCO


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
        ValueError: it is truncated or no COCO JSON; a category's name is no class; an
            annotation has a category that the file does not define.
    """
    if not file.is_file():
        raise FileNotFoundError(
            f"annotation file '{file}' does not exist: set data_root and ann_files")
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
            coco = COCO(str(file))
    except (ValueError, AssertionError, KeyError, TypeError) as error:
        raise ValueError(
            f"annotation file '{file}' is truncated or no COCO JSON: {error!r}"
        ) from error
    for key in ('images', 'annotations', 'categories'):
        if key not in coco.dataset:
            raise ValueError(f"annotation file '{file}' has no '{key}'")
    numbers = {}
    for category_id, category in coco.cats.items():
        name = category.get('name')
        if name not in classes:
            raise ValueError(
                f"annotation file '{file}': category {category_id} ({name!r}) is no "
                f'class of the dataset; its classes are {list(classes)}')
        numbers[category_id] = classes.index(name) + 1
    for annotation_id, annotation in coco.anns.items():
        if annotation['category_id'] not in numbers:
            raise ValueError(
                f"annotation file '{file}': annotation {annotation_id} has category_id "
                f"{annotation['category_id']}, which is not among the file's "
                'categories')
    return coco, numbers


class CocoAnnotations:
    """Object annotations by image id, from COCO JSON files.

    An image's annotations are kept as JSON text until they are asked for: worker
    processes then share the memory of a whole COCO.

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
                'or set with_masks=False')
        self._texts: dict[int, bytes] = {}
        for file in files:
            coco, numbers = read_coco(file, classes)
            for image_id in image_ids & coco.imgs.keys():
                try:
                    content = self._content(coco, numbers, image_id)
                except KeyError as error:
                    raise ValueError(
                        f"annotation file '{file}': image {image_id} or one of its "
                        f'annotations has no {error}') from error
                self._texts[image_id] = json.dumps(
                    dict(file=str(file), **content)).encode()

    @staticmethod
    def _content(coco: COCO, numbers: dict[int, int], image_id: int) -> dict:
        image = coco.imgs[image_id]
        return dict(
            size=(image['height'], image['width']),
            objects=[
                dict(
                    id=annotation['id'],
                    class_id=numbers[annotation['category_id']],
                    area=annotation['area'],
                    crowd=bool(annotation.get('iscrowd', 0)),
                    segmentation=annotation['segmentation'])
                for annotation in coco.imgToAnns[image_id]])

    def __contains__(self, image_id: int) -> bool:
        return image_id in self._texts

    def __getitem__(self, image_id: int) -> dict:
        """``file`` (str), ``size`` (height, width) and ``objects``, a list of dicts
        ``id``, ``class_id``, ``area`` (pixels), ``crowd`` (bool) and ``segmentation``
        (COCO polygons or RLE)."""
        return json.loads(self._texts[image_id])
