"""What a work dir holds, also after a process was killed there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from mmwsfs.utils.work_dir import (
    best_or_last_checkpoint,
    finished_test,
    last_checkpoint,
    point_to,
    remove_parts,
)


def save(path: Path, whole: bool = True) -> Path:
    """A checkpoint, or the first half of one."""
    torch.save(dict(weights=torch.ones(100)), path)
    if not whole:
        path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    return path


def point(folder: Path, name: str) -> None:
    (folder / 'last_checkpoint').write_text(str(folder / name))


def test_last_checkpoint(tmp_path: Path) -> None:
    """The one that ``last_checkpoint`` names; the newest where no file names one."""
    assert last_checkpoint(tmp_path) is None
    save(tmp_path / 'iter_4.pth')
    save(tmp_path / 'iter_20.pth')
    assert last_checkpoint(tmp_path) == tmp_path / 'iter_20.pth'
    point_to(tmp_path / 'iter_4.pth', tmp_path)
    assert (tmp_path / 'last_checkpoint').read_text() == 'iter_4.pth'
    assert last_checkpoint(tmp_path) == tmp_path / 'iter_4.pth'
    point_to('s3://bucket/iter_4.pth', tmp_path)  # as MMEngine does: nothing but itself
    assert (tmp_path / 'last_checkpoint').read_text() == 's3://bucket/iter_4.pth'


@pytest.mark.parametrize('damage', ['cut', 'flipped', 'gone', 'unnamed'])
def test_a_damaged_last_checkpoint(tmp_path: Path, damage: str) -> None:
    """The newest whole one takes its place, by number; without one there is none."""
    last = save(tmp_path / 'iter_100.pth', whole=damage == 'flipped')
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)
    if damage == 'gone':
        last.unlink()
    save(tmp_path / 'iter_90.pth', whole=False)
    save(tmp_path / 'best_mIoU_iter_80.pth')  # has no optimizer to resume
    for number in (8, 20):
        save(tmp_path / f'iter_{number}.pth')
    point(tmp_path, 'iter_100.pth')
    if damage == 'unnamed':
        (tmp_path / 'last_checkpoint').write_text('')
    assert last_checkpoint(tmp_path) == tmp_path / 'iter_20.pth'
    for number in (8, 20):
        (tmp_path / f'iter_{number}.pth').unlink()
    assert last_checkpoint(tmp_path) is None


def test_checkpoints_of_epochs(tmp_path: Path) -> None:
    """Their names are of another template."""
    save(tmp_path / 'epoch_3.pth')
    assert last_checkpoint(tmp_path) is None
    assert last_checkpoint(tmp_path, 'epoch_{}.pth') == tmp_path / 'epoch_3.pth'


def test_a_moved_folder(tmp_path: Path) -> None:
    """Checkpoints are found where they are now, also by MMEngine's full path."""
    old, new = tmp_path / 'old', tmp_path / 'new'
    old.mkdir()
    save(old / 'iter_4.pth')
    point(old, 'iter_4.pth')
    shutil.copytree(old, new)
    assert last_checkpoint(new) == new / 'iter_4.pth'


def test_parts_of_files(tmp_path: Path) -> None:
    """What a killed process was writing goes; a file that is named like it stays."""
    (tmp_path / 'enhancer').mkdir()
    parts = [tmp_path / f'iter_4.{"0af1" * 8}.part',
             tmp_path / f'enhancer/last.{"0af1" * 8}.part']
    others = [tmp_path / 'mine.part', tmp_path / 'iter_4.pth']
    for path in (*parts, *others):
        path.write_text('')
    remove_parts(tmp_path)
    assert not any(path.exists() for path in parts)
    assert all(path.exists() for path in others)


def test_best_checkpoint(tmp_path: Path) -> None:
    """The last one serves until there is a whole best one."""
    assert best_or_last_checkpoint(tmp_path) is None
    last = save(tmp_path / 'iter_10.pth')
    point(tmp_path, 'iter_10.pth')
    save(tmp_path / 'best_mIoU_iter_9.pth', whole=False)
    assert best_or_last_checkpoint(tmp_path) == last
    save(tmp_path / 'best_mIoU_iter_4.pth')
    best = save(tmp_path / 'best_mIoU_iter_8.pth')
    assert best_or_last_checkpoint(tmp_path) == best


def test_finished_test(tmp_path: Path) -> None:
    """The newest report of these settings and these weights, and no other."""
    def write(run: str, settings: str, checkpoint: dict | None) -> None:
        (tmp_path / run).mkdir()
        (tmp_path / run / 'results.json').write_text(json.dumps(dict(
            run=run, settings_sha256=settings, checkpoint=checkpoint)))

    assert finished_test(tmp_path / 'absent', 'a', 'x') is None
    (tmp_path / '20260105_000000').mkdir()  # killed before it ended
    write('20260101_000000', 'a', dict(sha256='x'))
    write('20260102_000000', 'a', dict(sha256='x'))
    write('20260103_000000', 'b', dict(sha256='x'))
    write('20260104_000000', 'a', None)
    assert finished_test(tmp_path, 'a', 'x')['run'] == '20260102_000000'
    assert finished_test(tmp_path, 'b', 'x')['run'] == '20260103_000000'
    assert finished_test(tmp_path, 'a', 'y') is None
