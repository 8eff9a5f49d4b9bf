"""What a work dir holds: checkpoints, the config of a training, reports of tests."""

from __future__ import annotations

import json
import logging
import re
import zipfile
from pathlib import Path

from mmengine.logging import print_log

from .files import PART, write_whole


def last_checkpoint(folder: Path, template: str = 'iter_{}.pth') -> Path | None:
    """The checkpoint that a training resumes from, None if there is none.

    It is the one that the file ``last_checkpoint`` names, looked for in this folder,
    wherever that was when the name was written: a folder may be renamed, and a copy
    goes on by itself. Where the named one is damaged or gone, the newest whole one
    takes its place, with a warning.

    Args:
        folder: work dir of the training.
        template: of the names of its checkpoints.
    """
    pointer = folder / 'last_checkpoint'
    named = None
    if pointer.exists():
        # Of another program's full path, too, the name alone.
        name = Path(pointer.read_text(errors='replace').strip()).name
        named = folder.absolute() / name if name else None
        if named is not None and is_whole(named):
            return named
    last = newest(folder.absolute(), template.format('*'))
    if named is not None:
        state = 'is damaged' if named.exists() else 'is gone'
        print_log(
            f"checkpoint '{named}' {state}: "
            + (f"'{last.name}' takes its place" if last else 'there is no other'),
            'current', level=logging.WARNING)
    return last


def point_to(checkpoint: Path | str, folder: Path) -> None:
    """Make ``FOLDER/last_checkpoint`` name a checkpoint.

    Args:
        checkpoint: one in the folder by its name, which holds wherever the folder is
            moved or copied to; any other by its path.
        folder: work dir of the training.
    """
    inside = Path(checkpoint).parent == folder
    name = Path(checkpoint).name if inside else str(checkpoint)
    write_whole(folder / 'last_checkpoint', name)


def best_or_last_checkpoint(folder: Path) -> Path | None:
    """The best checkpoint by validation (``best_*``) where there is one, else the last.

    Of several the one of the latest iteration, which was the best when it came.
    """
    return newest(folder, 'best_*.pth') or last_checkpoint(folder)


def newest(folder: Path, pattern: str) -> Path | None:
    """Of the whole checkpoints the one of the highest iteration, as in its name."""
    for path in sorted(folder.glob(pattern), key=_iteration, reverse=True):
        if is_whole(path):
            return path
    return None


def is_whole(checkpoint: Path) -> bool:
    """Whether a file of ``torch.save`` is there and undamaged, by its checksums."""
    if not zipfile.is_zipfile(checkpoint):
        return False
    try:
        with zipfile.ZipFile(checkpoint) as file:
            return file.testzip() is None
    except Exception:  # whatever a damaged file makes the reader raise
        return False


def _iteration(checkpoint: Path) -> int:
    number = re.search(r'(\d+)\.pth$', checkpoint.name)
    return int(number[1]) if number else -1


def remove_parts(folder: Path) -> None:
    """Remove what killed processes left of files that they were writing.

    To be called only by who holds the folder's lock: another process may be writing.
    """
    for path in (*folder.glob('*.part'), *folder.glob('enhancer/*.part')):
        if PART.search(path.name):
            path.unlink(missing_ok=True)


def finished_test(folder: Path, settings: str, checkpoint: str) -> dict | None:
    """The newest report of a test of these settings and weights, None without one.

    Args:
        folder: work dir of the test.
        settings: :func:`~mmwsfs.utils.run_identity.settings_digest` of its config.
        checkpoint: sha256 of the checkpoint.
    """
    for path in sorted(folder.glob('*/results.json'), reverse=True):
        report = json.loads(path.read_text())
        if report['settings_sha256'] == settings and (
                report['checkpoint'] or {}).get('sha256') == checkpoint:
            return report
    return None
