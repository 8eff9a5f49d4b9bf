"""One process at a time in a folder."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmwsfs.utils.folder_lock import FolderLock
from mmwsfs.utils.run_error import RunError


def test_one_at_a_time(tmp_path: Path) -> None:
    """The second is told who the first is, and comes in when that has left."""
    folder = tmp_path / 'a/b'
    lock = FolderLock(folder, 'a training')
    with pytest.raises(RunError) as error:
        FolderLock(folder, 'another')
    assert str(error.value).startswith(
        f"'{folder}' is in use by a training, process {os.getpid()} on ")
    assert str(error.value).endswith(
        ': wait for it, end it, or choose another --work-dir')
    lock.release()
    FolderLock(folder, 'another').release()


def test_handed_on(tmp_path: Path) -> None:
    """A program that inherits the lock holds it, a forked child does not."""
    lock = FolderLock(tmp_path, 'a training')
    program = subprocess.Popen(
        [sys.executable, '-c', 'input()'], stdin=subprocess.PIPE,
        **lock.handed_on())
    lock.release()
    with pytest.raises(RunError):
        FolderLock(tmp_path, 'another')
    program.communicate(b'\n')
    lock = FolderLock(tmp_path, 'another')
    (stay, leave), (begun, begin) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(leave)
        os.write(begin, b' ')
        os.read(stay, 1)  # until the parent closes its end
        os._exit(0)
    os.read(begun, 1)
    lock.release()
    FolderLock(tmp_path, 'a third').release()
    os.close(leave)
    os.waitpid(pid, 0)
    for end in (stay, begun, begin):
        os.close(end)


def test_a_file_system_without_locks(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a cluster: the work is done all the same. Any other error is one."""
    def fail(number: int) -> None:
        def flock(*args) -> None:
            raise OSError(number, os.strerror(number))
        monkeypatch.setattr('mmwsfs.utils.folder_lock.fcntl.flock', flock)

    fail(errno.ENOSYS)
    FolderLock(tmp_path, 'a training').release()
    fail(errno.EIO)
    with pytest.raises(OSError, match='Input/output'):
        FolderLock(tmp_path, 'a training')
