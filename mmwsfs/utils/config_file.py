"""Configs by name: those that come with mmwsfs, wherever it was installed."""

from __future__ import annotations

import difflib
from pathlib import Path

PREFIX = 'mmwsfs::'
PACKAGE = Path(__file__).parents[1]


def config_folder() -> Path:
    """The folder of our configs: the wheel's own, or that of the checkout.

    Raises:
        FileNotFoundError: the package was copied without its configs.
    """
    for folder in (PACKAGE / '.mim/configs', PACKAGE.parent / 'configs'):
        if (folder / 'wsfs').is_dir():
            return folder
    raise FileNotFoundError(
        f"mmwsfs, in '{PACKAGE}', has no configs beside it: install it by pip, or run "
        'it in its checkout')


def shipped_configs() -> dict[str, Path]:
    """Our configs, without the parts in ``_base_``: ``wsfs/NAME.py`` -> file."""
    folder = config_folder()
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.glob('*/*.py')) if path.parent.name != '_base_'}


def config_path(config: str) -> str:
    """The file of a config.

    Args:
        config: a file; or one of ours, by its name (``vit-s_demo_1shot``, with or
            without ``.py``), as ``wsfs/NAME`` or as ``mmwsfs::wsfs/NAME.py``. A file
            that exists goes first.

    Returns:
        str: the path; '~' is the home folder.

    Raises:
        FileNotFoundError: there is none; the sentence names near ones.
    """
    named = config.startswith(PREFIX)
    if not named and Path(config).expanduser().is_file():
        return str(Path(config).expanduser())
    shipped = shipped_configs()
    wanted = config.removeprefix(PREFIX).removesuffix('.py')
    found = [path for name, path in shipped.items()
             if name == f'{wanted}.py' or path.stem == wanted]
    if found:
        return str(found[0])
    raise FileNotFoundError(
        f"there is no config '{config}'{_near(wanted, shipped)}: give a file, or a "
        "name of those that 'mmwsfs configs' lists")


def _near(wanted: str, shipped: dict[str, Path]) -> str:
    """', did you mean ...?' of up to three names, '' if none is alike."""
    names = difflib.get_close_matches(
        Path(wanted).name, [path.stem for path in shipped.values()], 3)
    return f" (did you mean {' or '.join(names)}?)" if names else ''
