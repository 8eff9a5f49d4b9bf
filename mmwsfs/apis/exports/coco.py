from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from mmwsfs.utils.files import write_whole
from mmwsfs.version import __version__


class CocoExport:
    """``annotations.json`` of COCO's instances.

    One annotation a class and photograph, of all its pixels, whatever their number of
    parts: a label map does not tell one cat from the next. ``segmentation`` is RLE and
    so exact, ``iscrowd`` 0, ``score`` the probability of presence. ``file_name`` is
    below ``info.image_root``.
    """

    def begin(self, folder: Path, classes: Sequence[str], root: Path) -> None:
        self._path = folder / 'annotations.json'
        self._root = root
        self._content: dict[str, Any] = dict(
            info=dict(description=f'predicted by mmwsfs {__version__}',
                      image_root=str(root)),
            images=[], annotations=[],
            categories=[dict(id=label, name=name, supercategory='')
                        for label, name in enumerate(classes, start=1)])

    def add(self, stem: str, result: Mapping[str, Any]) -> None:
        labels = result['label_map']
        images, annotations = self._content['images'], self._content['annotations']
        name = os.path.relpath(result['image'], self._root)
        images.append(dict(
            id=len(images) + 1, file_name=Path(name).as_posix(),
            width=labels.shape[1], height=labels.shape[0]))
        for label, score in enumerate(result['presence'].values(), start=1):
            code = coco_mask.encode(np.asfortranarray(labels == label, np.uint8))
            area = int(coco_mask.area(code))
            if area:
                annotations.append(dict(
                    id=len(annotations) + 1, image_id=len(images), category_id=label,
                    segmentation=dict(
                        size=code['size'], counts=code['counts'].decode('ascii')),
                    area=area, bbox=coco_mask.toBbox(code).tolist(), iscrowd=0,
                    score=score))

    def close(self) -> None:
        write_whole(self._path, json.dumps(self._content) + '\n')
