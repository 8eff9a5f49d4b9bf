"""One process at a time in a folder."""

from __future__ import annotations

import errno
import os
import socket
import weakref
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from filelock import FileLock, Timeout
from mmengine.logging import print_log

from .run_error import RunError

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None

# A file system that knows no locks: some of clusters do not.
_UNKNOWN = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


class FolderLock:
    """Holds ``FOLDER/.lock`` until it is released, or the process ends in any way.

    The system holds the lock, so that the file, which stays, says nothing: a killed
    process leaves no lock behind. A program to which the lock is :meth:`handed_on`
    holds it as well; a forked child, such as a worker of a data loader, does not. (The
    library filelock can do neither, and so it serves where there is no ``flock``.)

    Args:
        folder: is made where it does not exist.
        what: who holds it, for the message to the next one.

    Raises:
        RunError: another process holds it.
        OSError: the folder or the file cannot be made.
    """

    def __init__(self, folder: Path, what: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._held: IO[str] | FileLock
        # A file that Windows locks can nobody else read.
        text = folder / ('.lock' if fcntl else '.lock_holder')
        try:
            self._held = _flock(folder) if fcntl else _file_lock(folder)
        except (BlockingIOError, Timeout):
            holder = text.read_text(encoding='utf-8').strip() if text.is_file() else ''
            raise RunError(
                f"'{folder}' is in use by {holder or 'another process'}: wait for it, "
                'end it, or choose another --work-dir') from None
        if fcntl:
            _close_in_children(self)
        text.write_text(
            f'{what}, process {os.getpid()} on {socket.gethostname()}\n',
            encoding='utf-8')

    def fileno(self) -> int:
        """The file descriptor; on POSIX systems alone."""
        assert not isinstance(self._held, FileLock)
        return self._held.fileno()

    def handed_on(self) -> dict[str, Any]:
        """Arguments of ``subprocess.Popen`` for a program that is to hold it as well.

        There are none on Windows. A training has a lock of its own folder, anyhow.
        """
        return dict(pass_fds=[self.fileno()]) if fcntl else {}

    def release(self) -> None:
        """Let the next one in."""
        if isinstance(self._held, FileLock):
            self._held.release()
        else:
            self._held.close()


def _flock(folder: Path) -> IO[str]:
    """The open file, locked; BlockingIOError where another process has it."""
    assert fcntl is not None
    file = open(folder / '.lock', 'a+', encoding='utf-8')
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _UNKNOWN:
            file.close()
            raise
        print_log(
            f"'{folder}' is on a file system without locks: take care that only "
            'one training runs in it', 'current', level=30)
    return file


def _file_lock(folder: Path) -> FileLock:
    """The same by filelock; Timeout where another process has it."""
    lock = FileLock(folder / '.lock', timeout=0)
    lock.acquire()
    return lock


def _close_in_children(lock: FolderLock) -> None:
    """A forked child would hold the lock on when this process is killed."""
    reference = weakref.ref(lock)

    def close() -> None:
        held = reference()
        if held is not None:
            held.release()

    os.register_at_fork(after_in_child=close)
