from __future__ import annotations

from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from .files import write_whole_bytes

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
        write_whole_bytes(Path(filepath), obj)
