from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol


class Export(Protocol):
    """Writes predictions in the form of another program."""

    def begin(self, folder: Path, classes: Sequence[str], root: Path) -> None:
        """Get ready.

        Args:
            folder: to write to; it may not exist yet.
            classes: names of the classes, 1..N of the label maps.
            root: absolute, the folder that all photographs are in, at some depth.

        Raises:
            OSError: a file cannot be written; it is named.
        """

    def add(self, stem: str, result: Mapping[str, Any]) -> None:
        """Take one prediction.

        Args:
            stem: unique, the photograph's path below ``root`` without suffix, such as
                ``trip/x``, as :class:`~mmwsfs.apis.output.names.ImageStems` gives it.
            result: as :class:`.FewShotInferencer` gives it, of a file.

        Raises:
            OSError: a file cannot be written; it is named.
        """

    def close(self) -> None:
        """Finish, also where the run was stopped.

        Raises:
            OSError: a file cannot be written; it is named.
        """
