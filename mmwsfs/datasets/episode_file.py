"""Episode files: the episodes of an evaluation as readable JSON, one line each."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from .episode import Episode

FORMAT = 'mmwsfs-episodes'
VERSION = 1


def write_episodes(path: Path, head: dict, episodes: Sequence[Episode]) -> None:
    """Write episodes; the file is complete or not there.

    Args:
        path: the file.
        head: what the episodes belong to; see :func:`read_episodes`.
        episodes: in their order.
    """
    head = json.dumps(dict(format=FORMAT, version=VERSION, **head), indent=2)
    lines = [
        json.dumps(dict(query=e.query, classes=e.classes, supports=e.supports))
        for e in episodes]
    part = path.with_name(f'{path.name}.{os.getpid()}.part')
    part.write_text(
        head[:-2] + ',\n  "episodes": [\n    ' + ',\n    '.join(lines) + '\n  ]\n}\n')
    os.replace(part, path)


def read_episodes(path: Path, expected: dict, image_name: Callable[[str], str],
                  class_names: Sequence[str]) -> list[Episode]:
    """Read episodes, and check that they fit a dataset.

    The file is a JSON object. ``episodes`` is a list of objects with ``query`` (image
    file or name), ``classes`` (N absolute class numbers from 1, or class names) and
    ``supports`` (N lists of K images). ``format``, ``version`` and the keys of
    ``expected`` are optional, for files that other programs write, but have to agree
    where they are given.

    Args:
        path: the file.
        expected: head of the dataset that is to replay them: ``dataset``, ``protocol``,
            ``fold``, ``way``, ``shot``, ``classes`` (number -> name) and
            ``lists_sha256``.
        image_name: image file -> the dataset's name for it.
        class_names: names of all classes, of number 1 first.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, belongs to other lists, another fold, way or shot, or
            has a malformed episode.
    """
    if not path.is_file():
        raise FileNotFoundError(f"episode file '{path}' does not exist")
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(
            f"episode file '{path}' is truncated or no JSON: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get('episodes'), list):
        raise ValueError(
            f"episode file '{path}' must be a JSON object with a list 'episodes'")
    for key, value in dict(format=FORMAT, version=VERSION, **expected).items():
        if content.get(key, value) != value:
            raise ValueError(
                f"episode file '{path}' has {key} {content[key]!r}, but this dataset "
                f'{value!r}: {_mend(key)}')
    if not content['episodes']:
        raise ValueError(f"episode file '{path}' has no episode")
    return [
        _parse(item, f"episode file '{path}', episode {number}", expected, image_name,
               class_names)
        for number, item in enumerate(content['episodes'])]


def _mend(key: str) -> str:
    if key in ('way', 'shot', 'fold', 'protocol'):
        return f'set the same {key} (tools/test.py --{key})'
    if key == 'lists_sha256':
        return ('it was written for other lists; replay it with these lists, or delete '
                'the key to replay it regardless')
    return 'it was written for another dataset or program'


def _parse(item: object, where: str, expected: dict,
           image_name: Callable[[str], str], class_names: Sequence[str]) -> Episode:
    try:
        query = image_name(item['query'])
        supports = tuple(
            tuple(image_name(name) for name in names) for names in item['supports'])
        classes = tuple(
            class_names.index(c) + 1 if isinstance(c, str) else int(c)
            for c in item['classes'])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{where} is malformed ({type(error).__name__}: {error}): it must have "
            "'query', an image; 'classes', numbers or names; 'supports', a list of "
            'images for every class') from error
    unknown = [number for number in classes if str(number) not in expected['classes']]
    if unknown:
        raise ValueError(
            f'{where} has classes {unknown}, which this split does not hold: it has '
            f"{sorted(map(int, expected['classes']))}")
    found = (len(classes), {len(names) for names in supports})
    if len(supports) != len(classes) or found != (expected['way'], {expected['shot']}):
        raise ValueError(
            f"{where} is not {expected['way']}-way {expected['shot']}-shot: it has "
            f'{len(classes)} classes and {[len(names) for names in supports]} '
            'supports; set way and shot as in the file')
    if len(set(classes)) != len(classes):
        raise ValueError(f'{where} has a class twice: {list(classes)}')
    if any(query in names for names in supports):
        raise ValueError(f"{where} has its query '{query}' among the supports")
    return Episode(query, supports, classes)
