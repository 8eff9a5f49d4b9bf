"""Photographs and videos by file, folder or pattern."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from .file_names import on_disk

IMAGE_SUFFIXES = frozenset((
    '.avif', '.bmp', '.gif', '.heic', '.heif', '.jfif', '.jpeg', '.jpg', '.pgm', '.png',
    '.ppm', '.tif', '.tiff', '.webp'))
VIDEO_SUFFIXES = frozenset((
    '.3gp', '.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm', '.wmv'))
# Marks a folder that was written by a prediction.
_PREDICTED = 'predictions.json'


def is_image(path: Path) -> bool:
    """Whether a file, by its name, is an image that is not hidden."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith('.')


def is_video(path: Path) -> bool:
    """Whether a file, by its name, is a video that is not hidden."""
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith('.')


def existing(name: str | Path) -> Path:
    """The path of a name, or of the name without the spaces around it.

    Raises:
        FileNotFoundError: there is nothing.
    """
    for form in (str(name), str(name).strip()):
        path = Path(on_disk(form))
        if path.exists():
            return path
    raise FileNotFoundError(f"'{name}' does not exist")


def images_in(folder: Path) -> list[Path]:
    """The image files right in a folder, by name, without hidden ones.

    Raises:
        ValueError: there is none.
    """
    images = sorted(filter(is_image, folder.iterdir()))
    if not images:
        raise ValueError(f"folder '{folder}' has no images")
    return images


def find_photographs(
        queries: Sequence[str], passed_by: Collection[Path] = ()) -> list[Path]:
    """Files, folders with all their sub-folders, and patterns, as files.

    Args:
        queries: names; what is none but has ``*``, ``?`` or ``[`` is a pattern, in
            which ``**`` stands for any folders. A folder gives its images, a pattern
            its images and videos, and the images in folders that it matches; a file is
            taken whatever its name.
        passed_by: folders whose content is not looked for, like hidden ones and those
            with a ``predictions.json``, which are results.

    Returns:
        list[Path]: in the order of the queries, those of one by name; each once.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a folder or pattern has no images.
        OSError: a folder cannot be read; it is named.
    """
    left = {os.path.realpath(folder) for folder in passed_by}
    found: dict[str, Path] = {}
    for query in queries:
        for path in _expand(query, left):
            found.setdefault(os.path.abspath(path), path)
    return list(found.values())


def _expand(query: str, left: Collection[str]) -> list[Path]:
    try:
        path = existing(query)
    except FileNotFoundError:
        if not glob.has_magic(query):
            raise
        parts = Path(query).parts
        fixed = next(n for n, part in enumerate(parts) if glob.has_magic(part))
        paths = [
            file for match in map(Path, sorted(glob.glob(query, recursive=True)))
            # In a folder of results only where the pattern names that.
            if not any(_is_passed_by(folder, left) for folder in (match, *match.parents)
                       if len(folder.parts) > fixed)
            for file in _matched(match, left)]
        if not paths:
            raise ValueError(f"pattern '{query}' matches no images") from None
        return paths
    if not path.is_dir():
        return [path]
    paths = list(_images_below(path, left))
    if not paths:
        videos = sum(map(is_video, path.rglob('*')))
        raise ValueError(f"folder '{path}' has no images" + (
            f': name its videos, such as {path}/*, to have them read' * bool(videos)))
    return paths


def _is_passed_by(folder: Path, left: Collection[str]) -> bool:
    return os.path.realpath(folder) in left or (folder / _PREDICTED).exists()


def _matched(path: Path, left: Collection[str]) -> list[Path]:
    if path.is_dir():
        return list(_images_below(path, left))
    return [path] if is_image(path) or is_video(path) else []


def _images_below(folder: Path, left: Collection[str]) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise error

    for place, folders, files in os.walk(folder, onerror=fail):
        folders[:] = sorted(
            name for name in folders if not name.startswith('.')
            and not _is_passed_by(Path(place, name), left))
        yield from sorted(filter(is_image, (Path(place, name) for name in files)))
