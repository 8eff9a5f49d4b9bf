"""Split lists as files, for the converters of Pascal-5i and COCO-20i."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mmwsfs.datasets.split_lists import FOLDS
from mmwsfs.utils.download import download

MAX_BYTES = 64 << 20  # the largest published list has 2 MB


def published_lists(source: str, suffix: str) -> Iterator[tuple[str, int, bytes]]:
    """The lists ``trn/fold0`` ... ``val/fold3`` from a folder or URL.

    Returns:
        Iterator: split, fold, content.
    """
    for split in ('trn', 'val'):
        for fold in range(FOLDS):
            path = f'{source.rstrip("/")}/{split}/fold{fold}{suffix}'
            try:
                content = _read(path)
            except (OSError, ValueError) as error:
                raise SystemExit(
                    f"'{path}' cannot be read: --lists names a folder or URL with "
                    f'trn/fold0{suffix} ... val/fold3{suffix} ({error})') from error
            yield split, fold, content


def _read(path: str) -> bytes:
    parts = urlsplit(path)
    if parts.scheme in ('http', 'https'):
        return b''.join(download(path, MAX_BYTES))
    if '://' in path and parts.scheme != 'file':
        raise ValueError('its scheme is unknown: name a folder, http(s):// or file://')
    file = Path(url2pathname(parts.path) if '://' in path else path)
    if file.is_file() and file.stat().st_size > MAX_BYTES:
        raise ValueError(f'it has more than the {MAX_BYTES} bytes of any list')
    return file.read_bytes()


def write_list(path: Path, content: bytes, entries: Sequence[tuple[str, int]]) -> None:
    """Write a list and print the counts of its (image, class) entries."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    print(f'{path}: {len(entries)} entries, {len({name for name, _ in entries})} '
          f'images, {len({number for _, number in entries})} classes')
