"""Classes and their files, as options of a command name them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mmwsfs.utils.find_photographs import existing, images_in


def parse_classes(option: str, values: Sequence[str]) -> dict[str, list[Path]]:
    r"""CLASS=FILE[,FILE...] of an option's values, ``\,`` for a comma of a name.

    Raises:
        ValueError: a value is of another form, or names a class again.
        FileNotFoundError: a file is missing.
    """
    classes: dict[str, list[Path]] = {}
    for value in values:
        name, _, files = value.partition('=')
        paths = [path.replace('\\,', ',') for path in re.split(r'(?<!\\),', files)]
        if not name or not all(paths):
            raise ValueError(
                f"cannot read '{option} {value}': write {option} CLASS=FILE[,FILE...]")
        if name in classes:
            raise ValueError(
                f"{option} names class '{name}' twice: write {option} "
                f'{name}=FILE,FILE,...')
        try:
            classes[name] = [existing(path) for path in paths]
        except FileNotFoundError as error:
            folder = (
                ', or give folders by --support-dir' if option == '--support' else '')
            raise FileNotFoundError(
                f"{error}: {option} takes files separated by commas; write a comma in "
                f"a file's name as '\\,'{folder}") from None
    return classes


def find_supports(values: Sequence[str], folder: Path | None) -> dict[str, list[Path]]:
    """Images of every class: of --support, then of --support-dir.

    Raises:
        ValueError: there is none, or a class is given twice or without images.
        FileNotFoundError: a file or folder is missing.
    """
    supports = parse_classes('--support', values)
    if folder is not None:
        folders = sorted(path for path in existing(folder).iterdir()
                         if path.is_dir() and not path.name.startswith('.'))
        if not folders:
            raise ValueError(
                f"--support-dir '{folder}' has no sub-folders: put the images of each "
                'class into one that has its name')
        for path in folders:
            if path.name in supports:
                raise ValueError(
                    f"class '{path.name}' is given twice: by --support and in "
                    f"--support-dir '{folder}'")
            supports[path.name] = images_in(path)
    if not supports:
        raise ValueError(
            'no supports: show each class by --support CLASS=IMAGE[,IMAGE...], or all '
            'of them by --support-dir DIR')
    return supports
