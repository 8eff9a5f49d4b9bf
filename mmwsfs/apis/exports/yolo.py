from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmwsfs.utils.files import write_whole

from .copied_file import copy_whole
from .polygons import mask_polygons


class YoloExport:
    """A data set for segmentation with YOLO: ``data.yaml``, ``images/``, ``labels/``.

    A line of ``labels/NAME.txt`` is a component of a class: its number, from 0, then x
    and y of its outline (:func:`.mask_polygons`) as shares of width and height. A file
    without lines is of a photograph that shows none. Photographs are copied into
    ``images/``: YOLO looks for labels where images are.
    """

    def begin(self, folder: Path, classes: Sequence[str], root: Path) -> None:
        self._folder = folder
        self._classes = list(classes)
        # JSON's strings are YAML's: names with colons or quotes need nothing more.
        names = [f'  {label}: {json.dumps(name)}\n'
                 for label, name in enumerate(classes)]
        write_whole(folder / 'data.yaml', ''.join([
            'path: .\ntrain: images\nval: images\nnames:\n', *names]))

    def add(self, stem: str, result: Mapping[str, Any]) -> None:
        labels = result['label_map']
        height, width = labels.shape
        lines = []
        for label in range(len(self._classes)):
            for polygon in mask_polygons(labels == label + 1):
                # The middle of a pixel: readers that cut off decimals find it again.
                shares = (polygon + 0.5) / (width, height)
                numbers = ' '.join(f'{share:.7f}' for share in shares.flatten())
                lines.append(f'{label} {numbers}\n')
        suffix = Path(result['image']).suffix
        copy_whole(result['image'], self._folder / 'images' / f'{stem}{suffix}')
        write_whole(self._folder / 'labels' / f'{stem}.txt', ''.join(lines))

    def close(self) -> None:
        pass  # each file was written as its prediction came
