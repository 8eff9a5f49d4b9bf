from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmwsfs.apis.output.names import class_folders

from .copied_file import copy_whole

NONE = 'none'


class SortedCopies:
    """Copies photographs to ``CLASS/`` for each class that is present, or ``none/``."""

    def begin(self, folder: Path, classes: Sequence[str], root: Path) -> None:
        parts = class_folders(classes, taken=[NONE])
        self._folders = {name: folder / part for name, part in parts.items()}
        self._none = folder / NONE

    def add(self, stem: str, result: Mapping[str, Any]) -> None:
        suffix = Path(result['image']).suffix
        folders = [self._folders[name] for name in result['present']] or [self._none]
        for folder in folders:
            copy_whole(result['image'], folder / f'{stem}{suffix}')

    def close(self) -> None:
        pass  # each file was copied as its prediction came
