from __future__ import annotations

import os
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from .files import whole_file

WHOLE = 'whole'


@register_backend(WHOLE, force=True)
class WholeLocalBackend(LocalBackend):
    """MMEngine's backend for local files, but a file is written whole or not at all.

    Chosen by ``backend_args=dict(backend='whole')``. What is there under a file's name
    is there on the disk as well, also after the machine's power fails.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write a file in one step.

        Raises:
            OSError: it could not be written; the file of that name is as it was.
        """
        with whole_file(Path(filepath)) as temporary, temporary.open('wb') as file:
            file.write(obj)
            file.flush()
            os.fsync(file.fileno())
