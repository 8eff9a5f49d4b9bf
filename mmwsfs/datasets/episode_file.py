"""Episode files: the episodes of an evaluation as readable JSON, one line each."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from mmwsfs.utils.file_names import normal_name
from mmwsfs.utils.files import write_whole
from mmwsfs.utils.json_text import parse_json
from mmwsfs.utils.text_file import read_text

from .episode import Episode

FORMAT = 'mmwsfs-episodes'
VERSION = 1
# What the episodes are of where the head does not say it; it says what is other.
PUBLISHED = dict(selection='novel', augmentation='none', object_size=None)


def write_episodes(path: Path, head: dict, episodes: Sequence[Episode]) -> None:
    """Write episodes; the file is complete or not there. Its folder is made.

    Args:
        path: the file.
        head: what the episodes belong to; see :func:`read_episodes`.
        episodes: in their order.
    """
    opening = json.dumps(
        dict(format=FORMAT, version=VERSION, **head), indent=2).removesuffix('\n}')
    lines = [
        json.dumps(dict(query=e.query, classes=e.classes, supports=e.supports))
        for e in episodes]
    write_whole(
        path,
        opening + ',\n  "episodes": [\n    ' + ',\n    '.join(lines) + '\n  ]\n}\n')


def read_episodes(path: Path, expected: dict,
                  image_name: Callable[[str], str]) -> list[Episode]:
    """Read episodes, and check that they fit a dataset.

    docs/episodes.md describes the file. ``format``, ``version`` and the keys of
    ``expected`` are optional in it, for files that other programs write, but have to
    agree where they are given. Of ``PUBLISHED`` a file without the key has the value
    there, and so has ``expected``.

    Args:
        path: the file.
        expected: head of the dataset that is to replay them: ``dataset``, ``protocol``,
            ``fold``, ``way``, ``shot``, ``classes`` (number -> name),
            ``lists_sha256`` and what is other than ``PUBLISHED``.
        image_name: image file -> the dataset's name for it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, belongs to other lists, another fold, way or shot, or
            has a malformed episode.
    """
    if not path.is_file():
        raise FileNotFoundError(f"episode file '{path}' does not exist")
    text = read_text(path, 'episode file')
    try:
        content = parse_json(text)
    except ValueError as error:
        raise ValueError(
            f"episode file '{path}' is truncated or no JSON: {error}") from error
    head = content if isinstance(content, dict) else {}
    own = dict(format=FORMAT, version=VERSION, **{**PUBLISHED, **expected})
    for key, value in own.items():
        given = head.get(key, PUBLISHED.get(key, value))
        # A truth value is no number, though Python says that True == 1.
        if given != value or isinstance(given, bool) != isinstance(value, bool):
            raise ValueError(
                f"episode file '{path}' has {key} {given!r}, but this dataset "
                f'{value!r}: {_mend(key)}')
    episodes = head.get('episodes')
    if not isinstance(episodes, list) or not episodes:
        raise ValueError(
            f"episode file '{path}' must be a JSON object with a list 'episodes' of at "
            'least one')
    return [
        _parse(item, f"episode file '{path}', episode {number}", expected, image_name)
        for number, item in enumerate(episodes)]


def _mend(key: str) -> str:
    if key in ('way', 'shot', 'fold', 'protocol'):
        return f'set the same {key} (tools/test.py --{key})'
    if key in PUBLISHED:
        return (f"set the dataset's {key} to the file's; a file that names none has "
                f'{PUBLISHED[key]!r}')
    if key == 'version':
        return 'replay it with the release of mmwsfs that wrote it, or a newer one'
    if key == 'lists_sha256':
        return ('it was written for other lists; replay it with these lists, or delete '
                'the key to replay it regardless')
    return 'it was written for another dataset or program'


def _are(types: tuple[type, ...], values: object) -> bool:
    """Whether it is a list of such values; a truth value is no number."""
    return isinstance(values, list) and all(type(value) in types for value in values)


def _parse(item: object, where: str, expected: dict,
           image_name: Callable[[str], str]) -> Episode:
    if not (isinstance(item, dict) and isinstance(item.get('query'), str)
            and _are((int, str), item.get('classes'))
            and _are((list, ), item.get('supports'))
            and all(_are((str, ), names) for names in item['supports'])):
        raise ValueError(
            f"{where} is malformed: it must have 'query', an image; 'classes', a list "
            "of numbers or names; and 'supports', a list of images for every class")
    numbers = {
        normal_name(name): int(number) for number, name in expected['classes'].items()}
    named = [c if isinstance(c, int) else normal_name(c) for c in item['classes']]
    unknown = [c for c in named if c not in numbers and c not in numbers.values()]
    if unknown:
        raise ValueError(
            f'{where} has classes {unknown}, which this split does not hold: it has '
            f"{expected['classes']}")
    classes = tuple(numbers[c] if isinstance(c, str) else c for c in named)
    shots = [len(names) for names in item['supports']]
    if len(classes) != expected['way'] or shots != [expected['shot']] * len(classes):
        raise ValueError(
            f"{where} is not {expected['way']}-way {expected['shot']}-shot: it has "
            f'{len(classes)} classes and {shots} supports; set way and shot as in the '
            'file')
    if len(set(classes)) != len(classes):
        raise ValueError(f"{where} has a class twice: {item['classes']}")
    try:
        query = image_name(normal_name(item['query']))
        supports = tuple(
            tuple(image_name(normal_name(name)) for name in names)
            for names in item['supports'])
    except ValueError as error:
        raise ValueError(f'{where}: {error}') from error
    for names in supports:
        if query in names:
            raise ValueError(f"{where} has its query '{query}' among the supports")
        if len(set(names)) != len(names):
            raise ValueError(f'{where} has a support twice in a way: {list(names)}')
    return Episode(query, supports, classes)
