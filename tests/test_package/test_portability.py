"""Nothing in the core needs a POSIX system."""

from __future__ import annotations

import copy
import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from test_light_import import python

from mmwsfs.engine import TrainingRunner

# A system without these modules and functions, as Windows is one.
BARE = '''
import os, sys, torch, mmengine, mmcv, mmseg.registry, mmpretrain, matplotlib.pyplot
import asyncio, multiprocessing, subprocess, tempfile, rich.console, filelock
for name in ('fcntl', 'resource', 'pwd', 'grp', 'termios'):
    sys.modules[name] = None
for name in ('fork', 'register_at_fork', 'killpg'):
    delattr(os, name)
'''


def test_every_module_is_imported() -> None:
    """Without what POSIX alone has. Modules of optional packages are left out."""
    # gradio knows both systems by itself, and has to see which one this is.
    said = python('''
import contextlib
with contextlib.suppress(ImportError):
    import gradio
''' + BARE + '''if True:
        import importlib, pkgutil
        import mmwsfs
        count = 0
        for info in pkgutil.walk_packages(mmwsfs.__path__, 'mmwsfs.'):
            try:
                importlib.import_module(info.name)
            except ModuleNotFoundError as error:
                assert error.name in ('gradio', 'pillow_heif'), info.name
            count += 1
        print('modules:', count)
    ''')
    assert int(said.split('modules: ')[1].split()[0]) > 100


def test_a_lock_without_flock(tmp_path: Path) -> None:
    """One at a time all the same; a process that is killed leaves none behind."""
    code = BARE + '''if True:
        from pathlib import Path
        from mmwsfs.utils.folder_lock import FolderLock
        from mmwsfs.utils.run_error import RunError
        folder = Path(sys.argv[1])
        try:
            lock = FolderLock(folder, 'a training')
        except RunError as error:
            raise SystemExit(str(error))
        assert lock.handed_on() == {}
        print('held', flush=True)
        sys.argv[2:] and input()
        lock.release()
        FolderLock(folder, 'another').release()
    '''
    process = subprocess.Popen(
        [sys.executable, '-W', 'ignore', '-c', code, str(tmp_path), 'wait'],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line == 'held\n':
            break
    said = python(code, tmp_path, status=1)
    assert f"'{tmp_path}' is in use by a training, process {process.pid} on " in said
    process.kill()
    process.communicate()
    python(code, tmp_path)


@pytest.fixture
def start_method() -> Iterator[None]:
    """What MMEngine sets for the whole process is set back."""
    before = multiprocessing.get_start_method(allow_none=True)
    yield
    torch.multiprocessing.set_start_method(before, force=True)


def test_spawned_workers_do_the_same(
        tiny_config: Config, start_method: None, tmp_path: Path) -> None:
    """As where there is no fork: every part of a dataset goes to another process."""
    weights = []
    for method in ('fork', 'spawn'):
        cfg = copy.deepcopy(tiny_config)
        cfg.experiment_name = f'{tmp_path.name}_{method}'
        cfg.work_dir = str(tmp_path / method)
        cfg.train_dataloader.num_workers = 1
        cfg.env_cfg = dict(mp_cfg=dict(mp_start_method=method))
        runner = TrainingRunner.from_cfg(cfg)
        runner.train()
        weights.append(runner.model.state_dict())
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name
