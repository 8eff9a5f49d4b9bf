"""Names of the files that are written: safe on any system, and each once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmwsfs.utils.file_names import file_stem, folder_name

_LONGEST_CLASS = 60  # bytes of a class's name beside that of an image


def common_folder(images: Iterable[object]) -> Path:
    """The deepest folder that all image files are in, at some depth.

    Args:
        images: files, str or Path; images in memory are passed by.

    Returns:
        Path: absolute; the working folder where there are no files, and the root where
        they are on several drives.
    """
    folders = {os.path.dirname(os.path.abspath(image)) for image in images
               if isinstance(image, (str, Path))}
    try:
        return Path(os.path.commonpath(folders) if folders else os.getcwd())
    except ValueError:  # several drives of Windows
        return Path(os.path.abspath(os.sep))


class UniqueNames:
    """Numbers a name where another thing has it, in upper or lower case."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {name.casefold() for name in taken}

    def __call__(self, name: str) -> str:
        """The name, or ``NAME_2``, ``NAME_3`` and so on."""
        unique, number = name, 1
        while unique.casefold() in self._taken:
            number += 1
            unique = f'{name}_{number}'
        self._taken.add(unique.casefold())
        return unique


class ImageStems:
    """Where the files about an image lie: ``trip/x`` of ``photos/trip/x.jpg``.

    Images are to be asked for in one order, each once, by all who are to find the same
    files: of two with one stem the second is numbered.

    Args:
        images: all that are to come. Sub-folders of their common folder are mirrored,
            and for those below ``out_dir``, such as frames of videos, sub-folders of
            that. Defaults to none: no folders are mirrored.
        out_dir: the folder of results. Defaults to None.
    """

    def __init__(self, images: Iterable[object] = (),
                 out_dir: str | Path | None = None) -> None:
        files = [os.path.abspath(image) for image in images
                 if isinstance(image, (str, Path))]
        results = Path(os.path.abspath(out_dir)) if out_dir else None
        others = [file for file in files
                  if not results or not Path(file).is_relative_to(results)]
        # A single video needs no folder of its own.
        self._roots = [results] if results and others else []
        if files:
            self._roots.append(common_folder(others or files))
        self._unique = UniqueNames()

    def __call__(self, image: str | Path | None) -> str:
        """The stem, with ``/`` between its parts.

        Args:
            image: its file; None, one in memory, is a ``query``.
        """
        if image is None:
            return self._unique('query')
        stem = file_stem(Path(image).stem)
        return self._unique('/'.join([*self._folders(image), stem]))

    def _folders(self, image: str | Path) -> list[str]:
        folder = Path(os.path.abspath(image)).parent
        root = next(
            (root for root in self._roots if folder.is_relative_to(root)), folder)
        return [folder_name(part) for part in folder.relative_to(root).parts]


def class_folders(classes: Sequence[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Class -> the name of its folder, each another one.

    Args:
        classes: their names.
        taken: names of folders that are no class's. Defaults to none.
    """
    unique = UniqueNames(taken)
    return {name: unique(folder_name(name, _LONGEST_CLASS))
            for name in classes}


def stem_of_class(stem: str, folder: str) -> str:
    """``trip/x_cat``: an image's stem with a class's name behind it.

    Args:
        stem: as :class:`ImageStems` gives it.
        folder: of the class, as :func:`class_folders` gives it.
    """
    *folders, last = stem.split('/')
    last = file_stem(last, 200 - _LONGEST_CLASS)
    return '/'.join([*folders, f'{last}_{folder}'])
