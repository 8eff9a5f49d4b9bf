"""Files written whole, and told apart by their content."""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PART = re.compile(r'\.[0-9a-f]{32}\.part$')  # ends the name of a temporary file


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Write a file in one step: a reader never meets a part of it.

    The block writes the temporary file that it is given, which is moved to its place
    at the end. Where the block raises, the temporary file is deleted and what was
    there stays.

    Args:
        path: the file; an existing one is replaced, a missing folder made.

    Yields:
        Path: the temporary file, ``STEM.<32 hex digits>.part`` in the same folder. It
        does not exist yet.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'{path.stem}.{uuid.uuid4().hex}.part')
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        with suppress(OSError):  # the block's own error says more
            temporary.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text file in one step, see :func:`whole_file`.

    Args:
        path: the file.
        text: its content, written as UTF-8. Bytes of file names that are no UTF-8,
            which Python holds as surrogates, are spelled out, as in ``caf\\udce9.jpg``:
            every program reads the file, and JSON gives the very name again.
    """
    write_whole_bytes(path, text.encode(errors='backslashreplace'))


def write_whole_bytes(path: Path, content: bytes) -> None:
    """Write a file in one step, see :func:`whole_file`, also if the power fails.

    Raises:
        OSError: it cannot be written; it names ``path``.
    """
    try:
        with whole_file(path) as temporary, temporary.open('wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        error.filename = str(path)  # an error of writing names no file
        raise


def file_sha256(path: str | Path) -> str:
    """sha256 of a file, in hex digits.

    Raises:
        FileNotFoundError: there is no such file.
    """
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()
