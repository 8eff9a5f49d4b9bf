"""Where a config of a given name lies."""

from __future__ import annotations

from pathlib import Path

import mmwsfs

_SCOPE = 'mmwsfs::'


def find_config(name: str) -> Path:
    """The file of a config.

    Args:
        name: a file, or ``mmwsfs::wsfs/NAME.py``, one that comes with the package.

    Raises:
        FileNotFoundError: there is none.
    """
    path = Path(name).expanduser()
    if name.startswith(_SCOPE):
        package = Path(mmwsfs.__file__).parent
        for folder in (package / '.mim/configs', package.parent / 'configs'):
            path = folder / name.removeprefix(_SCOPE)
            if path.is_file():
                return path
    if not path.is_file():
        raise FileNotFoundError(f"config '{name}' does not exist")
    return path
