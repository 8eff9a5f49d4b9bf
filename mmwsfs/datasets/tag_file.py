"""Tag files: which classes an image shows, as CSV or JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from mmwsfs.utils.file_names import normal_name
from mmwsfs.utils.json_text import parse_json
from mmwsfs.utils.text_file import read_text

SEPARATOR = ';'


def read_tags(path: Path) -> dict[str, tuple[str, ...]]:
    """Read the classes of images.

    A ``.csv`` file has the columns ``image`` and ``labels``, comma between them, with
    the labels separated by semicolons::

        image,labels
        kitchen/1.jpg,mug;spoon
        desk/7.jpg,mug

    Further columns are left alone. A ``.json`` file is an object of image -> list of
    labels. Both are texts as :func:`~mmwsfs.utils.text_file.read_text` takes them.

    Args:
        path: the file.

    Returns:
        dict: image file as it is written, with ``/`` -> its labels without
        repetitions, in the order of the file; both as
        :func:`~mmwsfs.utils.file_names.normal_name` has them.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is neither CSV nor JSON, is damaged, lacks a column, names no
            image or one twice, or an image has no labels.
    """
    if path.suffix.lower() not in ('.csv', '.json'):
        raise ValueError(f"tag file '{path}' must end with .csv or .json")
    if not path.is_file():
        raise FileNotFoundError(f"tag file '{path}' does not exist")
    rows = _read_csv(path) if path.suffix.lower() == '.csv' else _read_json(path)
    tags: dict[str, tuple[str, ...]] = {}
    for where, image, labels in rows:
        unique = tuple(dict.fromkeys(
            filter(None, (normal_name(label.strip()) for label in labels))))
        if not image or not unique:
            raise ValueError(
                f"{where}: image '{image}' with labels {list(unique)}: give both, or "
                'take it out')
        if '\0' in image or not Path(image).name:
            raise ValueError(f'{where}: {image!r} is no name of an image file')
        name = normal_name(Path(image).as_posix())
        if name in tags:
            raise ValueError(
                f"{where}: image '{name}' is there twice: name all its labels at once")
        tags[name] = unique
    if not tags:
        raise ValueError(f"tag file '{path}' names no image")
    return tags


def _read_csv(path: Path) -> Iterable[tuple[str, str, list[str]]]:
    """(where, image, labels) of every row."""
    text = read_text(path, 'tag file')
    try:
        reader = csv.DictReader(io.StringIO(text, newline=''), strict=True)
        columns = list(reader.fieldnames or [])
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise ValueError(f"tag file '{path}' is damaged or no CSV: {error}") from error
    for column in ('image', 'labels'):
        if column not in columns:
            raise ValueError(
                f"tag file '{path}' has no column '{column}', only {columns}: "
                "its first line must be 'image,labels'")
        if columns.count(column) > 1:
            raise ValueError(f"tag file '{path}' has the column '{column}' twice")
    for line, row in rows:
        if None in row:
            raise ValueError(
                f"'{path}', line {line}: more cells than columns: separate labels by "
                f"'{SEPARATOR}'")
        yield (f"'{path}', line {line}", (row['image'] or '').strip(),
               (row['labels'] or '').split(SEPARATOR))


def _read_json(path: Path) -> Iterable[tuple[str, str, list[str]]]:
    """(where, image, labels) of every image."""
    text = read_text(path, 'tag file')
    try:
        tags = parse_json(text)
    except ValueError as error:
        raise ValueError(f"tag file '{path}' is truncated or no JSON: {error}") from (
            error)
    if not isinstance(tags, dict):
        raise ValueError(
            f"tag file '{path}' must be a JSON object of image -> list of labels")
    for image, labels in tags.items():
        if not isinstance(labels, list) or not all(
                isinstance(label, str) for label in labels):
            raise ValueError(
                f"tag file '{path}': the labels of image '{image}' must be a list of "
                f'names, not {labels!r}')
        yield f"tag file '{path}'", image, labels
