"""Where a config of a given name lies."""

from __future__ import annotations

from pathlib import Path

PREFIX = 'mmwsfs::'
PACKAGE = Path(__file__).parents[1]


def config_path(config: str) -> str:
    """The file of a config.

    Args:
        config: a file, or ``mmwsfs::wsfs/NAME.py``, one that comes with the package.

    Raises:
        FileNotFoundError: there is none.
    """
    if config.startswith(PREFIX):
        for folder in (PACKAGE / '.mim/configs', PACKAGE.parent / 'configs'):
            path = folder / config.removeprefix(PREFIX)
            if path.is_file():
                return str(path)
    elif Path(config).is_file():
        return config
    raise FileNotFoundError(f"there is no config '{config}'")
