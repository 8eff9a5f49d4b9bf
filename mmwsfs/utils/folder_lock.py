"""One process at a time in a folder."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import weakref
from pathlib import Path

from mmengine.logging import print_log

from .run_error import RunError

# A file system that knows no locks: some of clusters do not.
_UNKNOWN = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


class FolderLock:
    """Holds ``FOLDER/.lock`` until it is released, or the process ends in any way.

    The system holds the lock, so that the file, which stays, says nothing: a killed
    process leaves no lock behind. A program to which :meth:`fileno` is handed on
    (``pass_fds``) holds it as well; a forked child, such as a worker of a data loader,
    does not.

    Args:
        folder: is made where it does not exist.
        what: who holds it, for the message to the next one.

    Raises:
        RunError: another process holds it.
        OSError: the folder or the file cannot be made.
    """

    def __init__(self, folder: Path, what: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = open(folder / '.lock', 'a+')
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read().strip()
            self._file.close()
            raise RunError(
                f"'{folder}' is in use by {holder or 'another process'}: wait for it, "
                'end it, or choose another --work-dir') from None
        except OSError as error:
            if error.errno not in _UNKNOWN:
                raise
            print_log(
                f"'{folder}' is on a file system without locks: take care that only "
                'one training runs in it', 'current', level=30)
        _close_in_children(self)
        self._file.truncate(0)
        self._file.write(f'{what}, process {os.getpid()} on {socket.gethostname()}\n')
        self._file.flush()

    def fileno(self) -> int:
        """The file descriptor, for ``subprocess.Popen(pass_fds=...)``."""
        return self._file.fileno()

    def release(self) -> None:
        """Let the next one in."""
        self._file.close()


def _close_in_children(lock: FolderLock) -> None:
    """A forked child would hold the lock on when this process is killed."""
    reference = weakref.ref(lock)

    def close() -> None:
        held = reference()
        if held is not None:
            held.release()

    os.register_at_fork(after_in_child=close)
