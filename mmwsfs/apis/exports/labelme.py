from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmwsfs.utils.files import write_whole

from .polygons import mask_polygons

_VERSION = '5.5.0'  # of LabelMe, whose form this is


class LabelMeExport:
    """``NAME.json`` for LabelMe, to be corrected by hand.

    A shape is a component of a class, a polygon (:func:`.mask_polygons`); those of one
    class share a ``group_id``, the class's number. The photograph stays where it is:
    ``imagePath`` leads to it from the JSON's folder.
    """

    def begin(self, folder: Path, classes: Sequence[str], root: Path) -> None:
        self._folder = folder
        self._classes = list(classes)

    def add(self, stem: str, result: Mapping[str, Any]) -> None:
        labels = result['label_map']
        path = self._folder / f'{stem}.json'
        shapes = [
            dict(label=name, points=polygon.tolist(), group_id=label, description='',
                 shape_type='polygon', flags={}, mask=None)
            for label, name in enumerate(self._classes, start=1)
            for polygon in mask_polygons(labels == label)]
        write_whole(path, json.dumps(dict(
            version=_VERSION, flags={}, shapes=shapes,
            imagePath=_path_from(path.parent, result['image']), imageData=None,
            imageHeight=labels.shape[0], imageWidth=labels.shape[1]), indent=1) + '\n')

    def close(self) -> None:
        pass  # each file was written as its prediction came


def _path_from(folder: Path, image: str) -> str:
    try:
        path = os.path.relpath(os.path.realpath(image), os.path.realpath(folder))
    except ValueError:  # on another drive of Windows
        path = os.path.abspath(image)
    return Path(path).as_posix()
