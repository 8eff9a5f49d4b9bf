"""mmseg's and mmpretrain's own tools on our configs: docs/ecosystem.md."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import mmpretrain
import mmseg
import pytest

import mmwsfs.datasets  # noqa: F401
from mmwsfs.mmseg_names import NAMES
from mmwsfs.registry import DATASETS

REPO = Path(__file__).parents[2]
CONFIG = str(REPO / 'configs/wsfs/vit-s_demo_1shot.py')
MMSEG = Path(mmseg.__file__).parent / '.mim/tools'
MMPRETRAIN = Path(mmpretrain.__file__).parent / '.mim/tools'


def run(tool: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    """A tool in a process and folder of its own."""
    return subprocess.run(
        [sys.executable, tool, *arguments], cwd=cwd, capture_output=True, text=True)


def test_print_config(tmp_path: Path) -> None:
    """It prints the config with its bases."""
    done = run(MMPRETRAIN / 'misc/print_config.py', CONFIG, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "type='EpisodeVisualizer'" in done.stdout


def test_vis_scheduler(tmp_path: Path) -> None:
    """It plots the learning rates of a training in which nothing is learned."""
    pytest.importorskip('matplotlib')
    done = run(
        MMPRETRAIN / 'visualization/vis_scheduler.py', CONFIG, '--not-show',
        '--save-path', str(tmp_path / 'rates.png'), '--cfg-options',
        'custom_hooks=None', 'train_cfg.max_iters=3', 'val_cfg=None', cwd=tmp_path)
    assert (tmp_path / 'rates.png').exists(), done.stderr


def test_get_flops_is_refused(tmp_path: Path) -> None:
    """By one sentence: it asks with a single picture."""
    done = run(
        MMSEG / 'analysis_tools/get_flops.py', CONFIG, '--shape', '224', cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        'ValueError: a few-shot model takes episodes, inputs of query and support')


def test_browse_dataset_is_refused(tmp_path: Path) -> None:
    """By one sentence: it asks mmseg's own scope, where our data sets are not."""
    done = run(
        MMSEG / 'analysis_tools/browse_dataset.py', CONFIG, '--not-show', cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "ValueError: 'DemoShapesDataset' is of mmwsfs and gives episodes")


def test_every_data_set_is_named_to_mmseg() -> None:
    """Those that our registry has of its own."""
    own = {name for name, kind in DATASETS.module_dict.items()
           if kind.__module__.startswith('mmwsfs.datasets')}
    assert own == set(NAMES)
