"""A small training that can be interrupted, and the same one left alone."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tool_runs import REPOSITORY

from mmwsfs.datasets.demo_shapes import make_demo_shapes
from mmwsfs.models.pseudo_labels import enhancer_training

sys.path.append(str(REPOSITORY / 'tests/faults'))

from run_records import tiny_config  # noqa: E402

ITERS = 8


@pytest.fixture(scope='session')
def small_training(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Its config, and the root of its data."""
    root = tmp_path_factory.mktemp('small_training')
    make_demo_shapes(root / 'demo_shapes', train_images=10, val_images=20, size=96)
    config = tiny_config(
        root / 'small.py', REPOSITORY, iters=ITERS, interval=2, val_interval=3,
        fitting=6)
    return config, root


@pytest.fixture
def train(small_training: tuple[Path, Path], run_tool: Callable[..., None],
          one_thread: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Trains in a work dir: ``train(work_dir, *arguments, resume=True)``."""
    config, root = small_training
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(root))
    for name, value in dict(INTERVAL=2, BATCH_SIZE=4, PARTNERS=2).items():
        monkeypatch.setattr(enhancer_training, name, value)

    def call(work_dir: Path, *arguments, resume: bool = True) -> None:
        run_tool('tools/train.py', config, '--work-dir', work_dir,
                 *['--resume'] * resume, *arguments)

    return call


@pytest.fixture
def whole(small_training: tuple[Path, Path], train: Callable[..., None]) -> Path:
    """The work dir of a training that nobody interrupts."""
    work_dir = small_training[1] / 'whole'
    if not (work_dir / f'iter_{ITERS}.pth').exists():
        train(work_dir)
    return work_dir


@pytest.fixture
def half(small_training: tuple[Path, Path], train: Callable[..., None], tmp_path: Path
         ) -> Path:
    """A work dir of its own, of a training that has come half its way."""
    work_dir = small_training[1] / 'half'
    if not work_dir.exists():
        train(work_dir, '--cfg-options', f'train_cfg.max_iters={ITERS // 2}',
              'val_cfg=None', 'val_dataloader=None', 'val_evaluator=None')
    shutil.copytree(work_dir, tmp_path / 'half')
    return tmp_path / 'half'


def killed(run: Callable[[], None]) -> None:
    """In a forked process, which it is to kill.

    That has none of this process's threads: take ``one_thread``.
    """
    pid = os.fork()
    if pid == 0:
        try:
            run()
        finally:
            os._exit(1)  # it came to its end, or failed
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL


def nth_call(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, count: int,
             action: Callable[[], None]) -> None:
    """Do something after the ``count``-th call of a method."""
    original, calls = getattr(owner, name), []

    def method(*args, **kwargs):
        result = original(*args, **kwargs)
        calls.append(name)
        if len(calls) == count:
            action()
        return result

    monkeypatch.setattr(owner, name, method)
