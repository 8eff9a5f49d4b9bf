"""What a work dir holds: checkpoints, the config of a training, reports of tests."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

from .files import write_whole


def last_checkpoint(folder: Path) -> Path | None:
    """The checkpoint that a training resumes from, None if there is none.

    A process that is killed while it writes a checkpoint leaves a damaged file. Then
    the file ``last_checkpoint``, which MMEngine reads, is made to name the newest whole
    one, and taken away where there is none.
    """
    pointer = folder / 'last_checkpoint'
    if not pointer.exists():
        return None
    # By its name alone: the folder may have been moved.
    last = folder.absolute() / Path(pointer.read_text().strip()).name
    if not zipfile.is_zipfile(last):
        whole = newest(folder.absolute(), 'iter_*.pth')
        if whole is None:
            pointer.unlink()
            return None
        last = whole
    if pointer.read_text().strip() != str(last):
        write_whole(pointer, str(last))
    return last


def best_or_last_checkpoint(folder: Path) -> Path | None:
    """The best checkpoint by validation (``best_*``) where there is one, else the last.

    Of several the one of the latest iteration, which was the best when it came.
    """
    return newest(folder, 'best_*.pth') or last_checkpoint(folder)


def newest(folder: Path, pattern: str) -> Path | None:
    """Of the whole checkpoints the one of the highest iteration, as in its name."""
    whole = [path for path in folder.glob(pattern) if zipfile.is_zipfile(path)]
    return max(whole, key=_iteration, default=None)


def _iteration(checkpoint: Path) -> int:
    number = re.search(r'(\d+)\.pth$', checkpoint.name)
    return int(number[1]) if number else -1


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
