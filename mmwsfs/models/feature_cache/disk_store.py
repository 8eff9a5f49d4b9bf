from __future__ import annotations

import os
import time
import uuid
import zipfile
from pathlib import Path

import torch
from mmengine.logging import print_log
from torch import Tensor

_SUFFIX, _PART = '.pt', '.part'
_ABANDONED = 3600  # seconds after which an unfinished file is nobody's


class DiskStore:
    """A bounded folder of tensors by key, shared by processes and runs.

    An entry is a file of ``torch.save``: read memory-mapped and without running
    anything in it, written beside its place and moved there, so that it is complete
    whenever it is there, whoever else writes or is killed. The checksums in the file
    are compared at an entry's first use in a process; a damaged one is deleted. When
    the folder is full the entries that were used longest ago go. A disk that is full,
    or a folder that cannot be written, turns the store off with one warning.

    Args:
        folder: made if need be.
        max_bytes: bound on the files together.
    """

    def __init__(self, folder: str | Path, max_bytes: int) -> None:
        self.folder = Path(folder).expanduser()
        self.max_bytes = max_bytes
        self._checked: set[str] = set()
        self._off = False
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._bytes = self._make_room(0)
        except OSError as error:
            self._turn_off(error)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f'{key}{_SUFFIX}'

    def __contains__(self, key: str) -> bool:
        return not self._off and self._path(key).is_file()

    def get(self, key: str) -> dict[str, Tensor] | None:
        """An entry, memory-mapped; None where there is none that is whole."""
        path = self._path(key)
        if self._off or not path.is_file():
            return None
        try:
            if key not in self._checked:
                with zipfile.ZipFile(path) as file:
                    if file.testzip() is not None:
                        raise ValueError('a checksum is wrong')
                self._checked.add(key)
            entry = torch.load(
                path, map_location='cpu', mmap=True, weights_only=True)
            os.utime(path)  # when it was last used
            return entry
        except FileNotFoundError:  # another process made room
            return None
        except Exception as error:  # whatever a damaged file makes the readers raise
            print_log(
                f"feature cache: '{path}' is damaged ({error}) and is computed again",
                'current')
            self._checked.discard(key)
            path.unlink(missing_ok=True)
            return None

    def put(self, key: str, entry: dict[str, Tensor]) -> None:
        """Keep an entry; one that is there already stays."""
        path = self._path(key)
        if self._off or path.is_file():
            return
        part = path.with_name(f'{key}.{uuid.uuid4().hex}{_PART}')
        try:
            path.parent.mkdir(exist_ok=True)
            try:
                torch.save({name: value.cpu() for name, value in entry.items()}, part)
                size = part.stat().st_size
                if self._bytes + size > self.max_bytes:
                    self._bytes = self._make_room(size)
                if self._bytes + size <= self.max_bytes:
                    os.replace(part, path)
                    self._bytes += size
            finally:
                part.unlink(missing_ok=True)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as either
            self._turn_off(error)

    def _make_room(self, size: int) -> int:
        """Delete entries until ``size`` more bytes fit; the bytes that are left.

        Goes a tenth below the bound, so that not every new entry has to look.
        """
        files = []
        for path in self.folder.glob('*/*'):
            try:
                state = path.stat()
            except FileNotFoundError:
                continue
            if path.suffix == _SUFFIX:
                files.append((state.st_mtime, state.st_size, path))
            elif path.suffix == _PART and time.time() - state.st_mtime > _ABANDONED:
                path.unlink(missing_ok=True)
        total = sum(file[1] for file in files)
        if total + size > self.max_bytes:
            for _, length, path in sorted(files):
                if total + size <= 0.9 * self.max_bytes:
                    break
                path.unlink(missing_ok=True)
                total -= length
        return total

    def _turn_off(self, error: Exception) -> None:
        self._off = True
        print_log(
            f"feature cache: '{self.folder}' cannot be written ({error}): going on "
            'without it', 'current', level=30)
