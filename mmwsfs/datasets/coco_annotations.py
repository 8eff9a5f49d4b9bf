from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Sequence
from pathlib import Path

from pycocotools.coco import COCO


class CocoAnnotations:
    """Object annotations by image id, from COCO JSON files.

    An image's annotations are kept as JSON text until they are asked for: worker
    processes then share the memory of a whole COCO.

    Args:
        files: COCO JSON files.
        classes: class names, of number 1 first. A category belongs to the class of its
            name.
        image_ids: the images to keep.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: no file is given; a file is truncated or no COCO JSON; an annotation
            has a category or image that the file does not define; a category's name is
            no class.
    """

    def __init__(self, files: Sequence[Path], classes: Sequence[str],
                 image_ids: set[int]) -> None:
        if not files:
            raise ValueError(
                'masks are asked for, but ann_files is empty: name COCO JSON files, '
                'or set with_masks=False')
        self._texts: dict[int, bytes] = {}
        for file in files:
            self._add(file, classes, image_ids)

    def _add(self, file: Path, classes: Sequence[str], image_ids: set[int]) -> None:
        coco = self._read(file)
        numbers = {}
        for category in coco.cats.values():
            if category['name'] not in classes:
                raise ValueError(
                    f"annotation file '{file}': category {category['id']} "
                    f"('{category['name']}') is no class of the dataset; its classes "
                    f'are {list(classes)}')
            numbers[category['id']] = classes.index(category['name']) + 1
        for annotation in coco.anns.values():
            if annotation['category_id'] not in numbers:
                raise ValueError(
                    f"annotation file '{file}': annotation {annotation['id']} has "
                    f"category_id {annotation['category_id']}, which is not among the "
                    "file's categories")
        for image_id in image_ids & coco.imgs.keys():
            image = coco.imgs[image_id]
            self._texts[image_id] = json.dumps(dict(
                file=str(file),
                size=(image['height'], image['width']),
                objects=[
                    dict(
                        id=annotation['id'],
                        class_id=numbers[annotation['category_id']],
                        area=annotation['area'],
                        crowd=bool(annotation.get('iscrowd', 0)),
                        segmentation=annotation['segmentation'])
                    for annotation in coco.imgToAnns[image_id]])).encode()

    @staticmethod
    def _read(file: Path) -> COCO:
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
        return coco

    def __contains__(self, image_id: int) -> bool:
        return image_id in self._texts

    def __getitem__(self, image_id: int) -> dict:
        """``file`` (str), ``size`` (height, width) and ``objects``, a list of dicts
        ``id``, ``class_id``, ``area`` (pixels), ``crowd`` (bool) and ``segmentation``
        (COCO polygons or RLE)."""
        return json.loads(self._texts[image_id])
