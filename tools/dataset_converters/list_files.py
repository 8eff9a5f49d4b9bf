"""Split lists as files, for the converters of Pascal-5i and COCO-20i."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmwsfs.datasets.split_lists import FOLDS


def published_lists(source: str, suffix: str) -> Iterator[tuple[str, int, bytes]]:
    """The lists ``trn/fold0`` ... ``val/fold3`` from a folder or URL.

    Returns:
        Iterator: split, fold, content.
    """
    for split in ('trn', 'val'):
        for fold in range(FOLDS):
            path = f'{source.rstrip("/")}/{split}/fold{fold}{suffix}'
            url = path if '://' in path else Path(path).absolute().as_uri()
            try:
                with urllib.request.urlopen(url) as reply:
                    content = reply.read()
            except OSError as error:
                raise SystemExit(
                    f"'{path}' cannot be read: --lists names a folder or URL with "
                    f'trn/fold0{suffix} ... val/fold3{suffix} ({error})') from error
            yield split, fold, content


def write_list(path: Path, content: bytes, entries: Sequence[tuple[str, int]]) -> None:
    """Write a list and print the counts of its (image, class) entries."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    print(f'{path}: {len(entries)} entries, {len({name for name, _ in entries})} '
          f'images, {len({number for _, number in entries})} classes')
