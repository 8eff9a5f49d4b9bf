from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

from mmwsfs.utils.file_names import normal_name
from mmwsfs.utils.json_text import parse_json
from mmwsfs.utils.text_file import decode_text, read_text

FOLDS = 4
MAX_BYTES = 256 << 20  # of a gzipped list, unpacked; the largest published has 5 MB
_IMAGE_ID = re.compile(r'(?<![0-9])([0-9]{1,18})(\.\w+)?\Z')
_LINE = re.compile(r'(?P<name>\S+)__(?P<number>[0-9]{1,3})')
_INDEX = re.compile('0|-?[1-9][0-9]{0,3}')


def fold_classes(fold: int, num_classes: int, interleaved: bool = False) -> range:
    """Class numbers, from 1, that a fold holds out.

    Args:
        fold: 0..3.
        num_classes: of the dataset, a multiple of 4.
        interleaved: False for blocks, as in Pascal-5i: fold i has 5i+1..5i+5. True for
            every fourth class, as in COCO-20i: fold i has i+1, i+5, ..., i+77.

    Raises:
        ValueError: there is no such fold, or the classes do not divide into folds.
    """
    if not isinstance(fold, int) or fold not in range(FOLDS):
        raise ValueError(f'unknown fold {fold!r}: choose one of 0..{FOLDS - 1}')
    if num_classes % FOLDS:
        raise ValueError(f'{num_classes} classes do not divide into {FOLDS} folds')
    if interleaved:
        return range(fold + 1, num_classes + 1, FOLDS)
    size = num_classes // FOLDS
    return range(fold * size + 1, (fold + 1) * size + 1)


def split_classes(split: str, fold: int, num_classes: int,
                  interleaved: bool = False) -> list[int]:
    """Class numbers of a split, ascending: in 'val' those that the fold holds out, in
    'trn' all others. See :func:`fold_classes`."""
    held_out = fold_classes(fold, num_classes, interleaved)
    return [number for number in range(1, num_classes + 1)
            if (number in held_out) == (split == 'val')]


def parse_split_list(lines: Sequence[str], path: Path,
                     num_classes: int) -> list[tuple[str, int]]:
    """Parse the ``name__class`` lines of the list ``path``, in their order.

    Raises:
        ValueError: the list is empty, a line is malformed, or names a class that its
            fold (the number in the file's name) does not hold.
    """
    fold = re.fullmatch('(?:fold)?([0-3])', path.stem)
    if fold is None:
        raise ValueError(
            f"split list '{path}' must be named by its fold, such as fold0.txt")
    allowed = fold_classes(int(fold[1]), num_classes)
    entries = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise ValueError(
                f"{path}:{number}: '{line}' is not of the form name__class, such as "
                '2007_000032__01')
        if int(match['number']) not in allowed:
            raise ValueError(
                f"{path}:{number}: '{line}' names class {int(match['number'])}, but "
                f'this fold holds classes {allowed.start}..{allowed.stop - 1}')
        entries.append((normal_name(match['name']), int(match['number'])))
    if not entries:
        raise ValueError(f"split list '{path}' is empty")
    return entries


def read_split_list(path: Path, num_classes: int) -> list[tuple[str, int]]:
    """Read a list of ``name__class``, such as ``trn/fold0.txt``.

    Raises:
        FileNotFoundError: there is no such list.
        ValueError: it is no text; as :func:`parse_split_list`.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"split list '{path}' does not exist: get the published lists or make "
            'your own with tools/dataset_converters/pascal5i.py')
    return parse_split_list(
        read_text(path, 'split list').splitlines(), path, num_classes)


def coco_image_name(file: str) -> str:
    """The id of a COCO image in twelve digits: the number its file's name ends with.

    Images of the 2014 release, such as ``train2014/COCO_train2014_000000000009.jpg``,
    and of the 2017 release, ``train2017/000000000009.jpg``, so have the same name.

    Raises:
        ValueError: the file name does not end with a number.
    """
    match = _IMAGE_ID.search(file)
    if match is None:
        raise ValueError(
            f"image '{file}' does not end with a COCO id, such as 000000000009.jpg")
    return f'{int(match[1]):012d}'


def _unpack(content: bytes) -> bytes:
    with gzip.open(io.BytesIO(content)) as file:
        unpacked = file.read(MAX_BYTES + 1)
    if len(unpacked) > MAX_BYTES:
        raise ValueError(f'it unpacks to more than {MAX_BYTES} bytes')
    return unpacked


def _number(index: str) -> int:
    if not _INDEX.fullmatch(index):
        raise ValueError(f'{index!r} is no class index')
    return int(index) + 1


def parse_class_images(content: bytes, path: Path,
                       classes: Sequence[int]) -> list[tuple[str, int]]:
    """Parse a COCO-20i list, gzipped JSON of class index from 0 -> image files.

    Args:
        content: of the list.
        path: its name, for messages.
        classes: class numbers, from 1, that it may hold.

    Returns:
        list: (:func:`coco_image_name`, class number), class by class, ascending.

    Raises:
        ValueError: the list is damaged or empty, or holds another class, or an image
            without an id.
    """
    try:
        text = decode_text(_unpack(content), path, 'split list')
        images = {_number(index): names for index, names in parse_json(text).items()}
    except (OSError, EOFError, zlib.error, ValueError, AttributeError) as error:
        raise ValueError(
            f"split list '{path}' is damaged or no gzipped JSON of class index -> "
            f'image files: {error}') from error
    for number, names in images.items():
        if not (isinstance(names, list) and all(isinstance(n, str) for n in names)):
            raise ValueError(
                f"split list '{path}' does not give class index {number - 1} a list of "
                'image files')
        if names and number not in classes:
            raise ValueError(
                f"split list '{path}' names images for class index {number - 1}, which "
                'is not in this split of the fold: it holds '
                f'{[n - 1 for n in classes]}')
    try:
        entries = [(coco_image_name(file), n) for n in sorted(images)
                   for file in images[n]]
    except ValueError as error:
        raise ValueError(f"split list '{path}': {error}") from error
    if not entries:
        raise ValueError(f"split list '{path}' is empty")
    return entries


def read_class_images(path: Path, classes: Sequence[int]) -> list[tuple[str, int]]:
    """Read a COCO-20i list, such as ``val/fold0.json.gz``.

    Raises:
        FileNotFoundError: there is no such list.
        ValueError: as :func:`parse_class_images`.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"split list '{path}' does not exist: get the published lists or make "
            'your own with tools/dataset_converters/coco20i.py')
    return parse_class_images(path.read_bytes(), path, classes)
