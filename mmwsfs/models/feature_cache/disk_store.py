from __future__ import annotations

import logging
import os
import re
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import torch
from mmengine.logging import print_log
from torch import Tensor

from mmwsfs.utils.files import whole_file

_SUFFIX, _PART = '.features', '.part'
# Files of a store; no other file of the folder is ever touched.
_OURS = re.compile(rf'[0-9a-f]{{32}}({re.escape(_SUFFIX)}|\.[0-9a-f]{{32}}{_PART})')
_ABANDONED = 3600  # seconds after which an unfinished file is nobody's
_FILLED = 0.9  # share of the bound that is left filled when room is made
_UNSEEN = 0.05  # share of the bound that is written before the folder is read again


class _NoRoom(Exception):
    """An entry does not fit into the folder."""


class DiskStore:
    """A bounded folder of tensors by key, shared by processes and runs.

    An entry is a file of ``torch.save``: read memory-mapped and without running
    anything in it, written beside its place and moved there, so that it is complete
    whenever it is there, whoever else writes or is killed. The checksums in the file
    are compared at an entry's first use in a process; a damaged one is deleted. When
    the folder is full the entries that were used longest ago go. A disk that is full,
    or a folder that cannot be written, ends the writing, with one warning; what is
    there is still read.

    Args:
        folder: made if need be.
        max_bytes: bound on the files together. Each further process that writes at
            the same time may pass it by a twentieth, until one looks again.
    """

    def __init__(self, folder: str | Path, max_bytes: int) -> None:
        self.folder = Path(folder).expanduser()
        self.max_bytes = max_bytes
        self._checked: set[str] = set()
        self._writable = True
        self._unseen = 0  # bytes written since the folder was last read
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._bytes = self._make_room(0)
        except OSError as error:
            self._stop_writing(error)

    @property
    def capacity(self) -> int:
        """Bytes that can be written, old entries replaced, and all stay."""
        return int(_FILLED * self.max_bytes) if self._writable else 0

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f'{key}{_SUFFIX}'

    def __contains__(self, key: str) -> bool:
        return self._path(key).is_file()

    def get(self, key: str) -> dict[str, Tensor] | None:
        """The entry of a key, 32 hex digits; None where there is none that is whole."""
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            if key not in self._checked:
                with zipfile.ZipFile(path) as file:
                    if file.testzip() is not None:
                        raise ValueError('a checksum is wrong')
            found = torch.load(
                path, map_location='cpu', mmap=True, weights_only=True)
            if found['key'] != key:
                raise ValueError('it is the entry of another key')
            entry = found['entry']
            if not all(isinstance(value, Tensor) for value in entry.values()):
                raise ValueError('it holds more than tensors')
        except FileNotFoundError:  # another process made room
            return None
        except Exception as error:  # whatever a damaged file makes the readers raise
            # torch's own messages advise to unpickle all the same.
            why = f' ({error})' if type(error) is ValueError else ''
            print_log(
                f"feature cache: '{path}' is damaged{why} and is computed again",
                'current')
            self._checked.discard(key)
            self._delete(path)
            return None
        self._checked.add(key)
        with suppress(OSError):  # a folder of somebody else
            os.utime(path)  # when it was last used
        return entry

    def put(self, key: str, entry: dict[str, Tensor]) -> None:
        """Keep an entry under a key, 32 hex digits; one that is there stays."""
        path = self._path(key)
        if not self._writable or path.is_file():
            return
        try:
            with suppress(_NoRoom), whole_file(path) as part:
                entry = {name: value.cpu() for name, value in entry.items()}
                torch.save(dict(key=key, entry=entry), part)
                size = part.stat().st_size
                if (self._bytes + size > self.max_bytes
                        or self._unseen + size > _UNSEEN * self.max_bytes):
                    self._bytes = self._make_room(size)
                if self._bytes + size > self.max_bytes:
                    raise _NoRoom
                self._bytes += size
                self._unseen += size
        except (OSError, RuntimeError) as error:  # torch reports a full disk as either
            self._stop_writing(error)

    def _make_room(self, size: int) -> int:
        """Delete entries until ``size`` more bytes fit; the bytes that are left.

        Goes below the bound, so that not every new entry has to look.
        """
        self._unseen = 0
        files = []
        for path in self.folder.glob('??/*'):
            if not _OURS.fullmatch(path.name):
                continue
            try:
                state = path.stat()
            except FileNotFoundError:
                continue
            if path.suffix == _SUFFIX:
                files.append((state.st_mtime_ns, state.st_size, path))
            elif time.time() - state.st_mtime > _ABANDONED:
                self._delete(path)
        total = sum(length for _, length, _ in files)
        if total + size > self.max_bytes:
            for _, length, path in sorted(files):
                if total + size <= _FILLED * self.max_bytes:
                    break
                self._delete(path)
                total -= length
        return total

    def _delete(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self._stop_writing(error)

    def _stop_writing(self, error: Exception) -> None:
        if self._writable:
            print_log(
                f"feature cache: '{self.folder}' cannot be written ({error}): nothing "
                'more is kept there', 'current', level=logging.WARNING)
        self._writable = False
