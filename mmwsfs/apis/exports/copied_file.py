from __future__ import annotations

import shutil
from pathlib import Path

from mmwsfs.utils.files import whole_file


def copy_whole(source: str | Path, target: Path) -> None:
    """Copy a file with its times, in one step; see :func:`.whole_file`.

    A file that is to be copied upon itself stays.

    Raises:
        OSError: it cannot be read or written; a file is named.
    """
    if target.exists() and target.samefile(source):
        return
    try:
        with whole_file(target) as temporary:
            shutil.copy2(source, temporary)
    except OSError as error:
        error.filename = str(target)  # not the temporary one
        error.filename2 = None
        raise
