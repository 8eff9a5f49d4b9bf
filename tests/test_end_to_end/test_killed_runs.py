"""A training that is killed, moved, copied or stopped goes on as if it had not been.

Many more moments are drawn by tests/faults/kill_and_resume.py.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from interrupted import ITERS, killed, nth_call
from killed import die_at
from mmengine.runner import IterBasedTrainLoop, ValLoop
from run_records import assert_same_training

from mmwsfs.models.pseudo_labels.enhancer_training import EnhancerTrainer


@pytest.mark.parametrize(('kind', 'count'), [
    ('fitting', 3),
    ('writing', 7),  # after the fitting stage's own files: a checkpoint
    ('placed', 10),
    ('validation', 5),
    ('validation', 9)])  # the last one: no step is left when it goes on
def test_killed(train: Callable[..., None], whole: Path, tmp_path: Path, kind: str,
                count: int) -> None:
    """Losses, weights, optimizer, checkpoints and the best score are the same."""
    def train_until() -> None:
        die_at(kind, count)
        train(tmp_path / 'killed')

    killed(train_until)
    train(tmp_path / 'killed')
    assert_same_training(whole, tmp_path / 'killed')


def test_renamed_and_copied(train: Callable[..., None], whole: Path, tmp_path: Path
                            ) -> None:
    """Each goes on by itself, the original's files unused and untouched."""
    old, copy, new = (tmp_path / name for name in ('old', 'copy', 'new'))
    train(old, '--cfg-options', 'train_cfg.max_iters=4')
    shutil.copytree(old, copy)
    before = {path: path.read_bytes() for path in old.glob('*.pth')}
    assert any(path.name.startswith('best_') for path in before)
    train(copy)
    assert_same_files(before)
    # The validation at the end of the shorter training is not in the longer one's log.
    assert {path.name for path in copy.glob('*.pth')} == {
        path.name for path in whole.glob('*.pth')}
    old.rename(new)
    train(new)
    assert_same_training(copy, new)
    assert not old.exists()


def assert_same_files(contents: dict[Path, bytes]) -> None:
    for path, content in contents.items():
        assert path.read_bytes() == content


@pytest.mark.parametrize('damage', ['cut', 'flipped', 'gone'])
def test_damaged_last_checkpoint(
        train: Callable[..., None], whole: Path, tmp_path: Path, damage: str,
        capsys: pytest.CaptureFixture) -> None:
    """The one before takes its place, with a warning; the end is the same."""
    work_dir = tmp_path / 'work'
    shutil.copytree(whole, work_dir)
    last = work_dir / f'iter_{ITERS}.pth'
    content = bytearray(last.read_bytes())
    if damage == 'gone':
        last.unlink()
    elif damage == 'cut':
        last.write_bytes(content[:len(content) // 2])
    else:
        content[len(content) // 2] ^= 1
        last.write_bytes(content)
    train(work_dir)
    said = ''.join(capsys.readouterr())
    state = 'is gone' if damage == 'gone' else 'is damaged'
    assert f"checkpoint '{last}' {state}: 'iter_6.pth' takes its place" in said
    assert 'resumed epoch: 0, iter: 6' in said
    assert_same_training(whole, work_dir)


@pytest.mark.parametrize(('number', 'owner', 'method', 'count', 'iteration'), [
    (signal.SIGINT, IterBasedTrainLoop, '_decide_current_val_interval', 5, 6),
    (signal.SIGTERM, ValLoop, 'run_iter', 2, 3)])
def test_stopped(train: Callable[..., None], whole: Path, tmp_path: Path,
                 monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture,
                 number: int, owner: type, method: str, count: int, iteration: int
                 ) -> None:
    """By Ctrl-C or SIGTERM: a whole checkpoint of the very iteration, and one line."""
    with monkeypatch.context() as patch:
        nth_call(patch, owner, method, count, lambda: os.kill(os.getpid(), number))
        with pytest.raises(SystemExit) as stopped:
            train(tmp_path)
    assert stopped.value.code == 128 + number
    assert 'StopSignals' not in repr(signal.getsignal(number))  # it has left
    lines = [line for line in ''.join(capsys.readouterr()).splitlines()
             if 'stopped by' in line]
    assert len(lines) == 1 and lines[0].endswith(
        f"stopped by {signal.Signals(number).name} at iteration {iteration}; --resume "
        f"goes on from '{tmp_path}/iter_{iteration}.pth'")
    train(tmp_path)
    assert_same_training(whole, tmp_path)


def test_stopped_while_fitting(
        train: Callable[..., None], whole: Path, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    """At once: there is no step whose end would help; what is written goes on."""
    with monkeypatch.context() as patch:
        nth_call(patch, EnhancerTrainer, '_train_step', 3,
                 lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(SystemExit) as stopped:
            train(tmp_path)
    assert stopped.value.code == 130 and not list(tmp_path.glob('*.pth'))
    train(tmp_path)
    assert_same_training(whole, tmp_path)


def test_second_interrupt(train: Callable[..., None], tmp_path: Path,
                          monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends the training at once, without a checkpoint of the step."""
    def twice() -> None:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    nth_call(monkeypatch, IterBasedTrainLoop, '_decide_current_val_interval', 3, twice)
    with pytest.raises(SystemExit) as stopped:
        train(tmp_path)
    assert stopped.value.code == 130
    assert [path.name for path in tmp_path.glob('iter_*.pth')] == ['iter_2.pth']


def test_where_a_training_began(train: Callable[..., None], whole: Path, tmp_path: Path,
                                capsys: pytest.CaptureFixture) -> None:
    """``load_from`` gives the first weights; a resumed run goes on from its own."""
    begin = f'load_from={whole}/iter_{ITERS}.pth'
    train(tmp_path, '--cfg-options', begin, 'train_cfg.max_iters=1', resume=False)
    capsys.readouterr()
    train(tmp_path, '--cfg-options', begin, 'train_cfg.max_iters=2')
    assert 'resumed epoch: 0, iter: 1' in ''.join(capsys.readouterr())


def test_nothing_to_resume(train: Callable[..., None], whole: Path, tmp_path: Path,
                           capsys: pytest.CaptureFixture) -> None:
    """Not even a whole file: training begins anew, and says so."""
    for name, text in (('iter_2.pth', 'cut'), ('last_checkpoint', '')):
        (tmp_path / name).write_text(text)
    train(tmp_path)
    said = ''.join(capsys.readouterr())
    assert f"'{tmp_path}' holds no checkpoint to resume from: training begins" in said
    assert_same_training(whole, tmp_path)
