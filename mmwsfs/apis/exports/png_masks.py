from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmwsfs.apis.output.names import class_folders
from mmwsfs.utils.files import whole_file


class PngMasksExport:
    """``CLASS/NAME.png``, a mask a class and photograph: 255 = the class, 0 = not.

    Where a photograph does not show a class its mask is all 0.
    """

    def begin(self, folder: Path, classes: Sequence[str], root: Path) -> None:
        self._folders = {name: folder / part
                         for name, part in class_folders(classes).items()}

    def add(self, stem: str, result: Mapping[str, Any]) -> None:
        for label, folder in enumerate(self._folders.values(), start=1):
            mask = (result['label_map'] == label).astype(np.uint8) * 255
            path = folder / f'{stem}.png'
            try:
                with whole_file(path) as temporary:
                    Image.fromarray(mask).save(temporary, 'PNG', compress_level=1)
            except OSError as error:
                error.filename = str(path)  # an error of writing names no file
                raise

    def close(self) -> None:
        pass  # each file was written as its prediction came
