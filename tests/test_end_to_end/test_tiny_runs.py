"""Training and testing through the tools, with a tiny backbone on made images."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.runner import CheckpointLoader
from tool_runs import (
    MMSEG_TOOLS,
    REPOSITORY,
    read_episodes,
    read_report,
)

from mmwsfs.datasets.demo_shapes import make_demo_shapes

CONFIG = """
_base_ = '{repository}/configs/wsfs/vit-s_demo_1shot.py'
model = dict(
    backbone=dict(
        _delete_=True, type='DINOVisionTransformer', patch_size=14, img_size=56,
        arch=dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)))
train_dataloader = dict(batch_size=4)
test_dataloader = dict(batch_size=3, dataset=dict(num_episodes=10))
val_dataloader = dict(dataset=dict(num_episodes=4))
train_cfg = dict(max_iters=4, val_interval=4)
default_hooks = dict(
    logger=dict(interval=1), checkpoint=dict(interval=2, max_keep_ckpts=5))
"""


@pytest.fixture(scope='module')
def tiny(tmp_path_factory) -> tuple[Path, Path]:
    """A config of the demo made tiny, and the root of its data."""
    folder = tmp_path_factory.mktemp('tiny')
    make_demo_shapes(folder / 'demo_shapes', train_images=10, val_images=20, size=96)
    config = folder / 'tiny.py'
    config.write_text(CONFIG.format(repository=REPOSITORY))
    return config, folder


@pytest.fixture
def trained(tiny, run_tool, monkeypatch, tmp_path_factory) -> Path:
    """Work dir of an uninterrupted run of 4 iterations."""
    config, data_root = tiny
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(data_root))
    work_dir = data_root / 'whole'
    if not work_dir.exists():
        run_tool('tools/train.py', config, '--work-dir', work_dir)
    return work_dir


def weights(work_dir: Path, iteration: int) -> dict[str, torch.Tensor]:
    path = work_dir / f'iter_{iteration}.pth'
    return CheckpointLoader.load_checkpoint(str(path), 'cpu')['state_dict']


def assert_same(first: dict, second: dict, **tolerance) -> None:
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], **tolerance)


def test_training_changes_all_but_the_backbone(trained):
    before, after = weights(trained, 2), weights(trained, 4)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert not any(name.startswith('backbone.') for name in changed)
    assert any(name.startswith('neck.') for name in changed)
    assert any(name.startswith('cls_head.') for name in changed)
    assert any(name.startswith('seg_head.') for name in changed)


def test_resumed_run_equals_the_uninterrupted_one(trained, tiny, run_tool, tmp_path):
    arguments = (tiny[0], '--work-dir', tmp_path)
    run_tool('tools/train.py', *arguments, '--cfg-options', 'train_cfg.max_iters=2')
    assert not (tmp_path / 'iter_4.pth').exists()
    run_tool('tools/train.py', *arguments, '--resume')
    assert_same(weights(tmp_path, 4), weights(trained, 4), rtol=0, atol=0)


def test_amp_trains_on_a_cpu(trained, tiny, run_tool, tmp_path):
    run_tool('tools/train.py', tiny[0], '--work-dir', tmp_path, '--amp',
             '--cfg-options', 'train_cfg.max_iters=2')
    amp, full = weights(tmp_path, 2), weights(trained, 2)
    assert all(value.isfinite().all() for value in amp.values())
    name = 'neck.blocks.0.qkv.weight'
    assert not torch.equal(amp[name], full[name])  # it ran in another precision
    torch.testing.assert_close(amp[name], full[name], rtol=0, atol=1e-2)


def test_amp_tests_on_a_cpu(trained, tiny, run_tool, tmp_path):
    """In another precision, but not with another result than rounding gives."""
    arguments = (tiny[0], trained / 'iter_4.pth', '--work-dir')
    run_tool('tools/test.py', *arguments, tmp_path / 'full')
    run_tool('tools/test.py', *arguments, tmp_path / 'amp', '--amp')
    full, amp = (
        [float(row['score_1']) for row in read_episodes(tmp_path / name)]
        for name in ('full', 'amp'))
    assert full != amp
    assert full == pytest.approx(amp, abs=0.02)


def _scores(work_dir: Path) -> dict[str, float]:
    return read_report(work_dir)['metrics']


def test_batch_size_and_tool_do_not_change_the_numbers(
        trained, tiny, run_tool, tmp_path):
    """mmseg's own test.py gives what ours gives, and so does another batch size."""
    checkpoint = trained / 'iter_4.pth'
    run_tool('tools/test.py', tiny[0], checkpoint, '--work-dir', tmp_path / 'ours')
    run_tool(MMSEG_TOOLS / 'test.py', tiny[0], checkpoint, '--work-dir',
             tmp_path / 'mmseg', '--cfg-options', 'test_dataloader.batch_size=1')
    assert _scores(tmp_path / 'ours') == _scores(tmp_path / 'mmseg')
    assert _scores(tmp_path / 'ours')['episodes'] == 10


def test_way_and_shot_switches_and_show_dir(trained, tiny, run_tool, tmp_path):
    run_tool('tools/test.py', tiny[0], trained / 'iter_4.pth', '--way', '2', '--shot',
             '3', '--fold', '1', '--work-dir', tmp_path, '--show-dir',
             tmp_path / 'shown', '--cfg-options',
             'default_hooks.visualization.interval=5')
    scores = _scores(tmp_path)
    assert any(name.startswith('IoU.scaly_fish') for name in scores) or 'mIoU' in scores
    assert len(list((tmp_path / 'shown').rglob('episode_*.png'))) == 2


def test_wrong_checkpoints_are_refused(trained, tiny, run_tool, tmp_path):
    """Foreign weights must not be tested as if they had been loaded."""
    foreign = {name: value for name, value in weights(trained, 4).items()
               if not name.startswith('neck.')}
    torch.save(dict(state_dict=foreign), tmp_path / 'foreign.pth')
    arguments = ('--work-dir', tmp_path / 'run')
    with pytest.raises(ValueError, match='missing: neck'):
        run_tool('tools/test.py', tiny[0], tmp_path / 'foreign.pth', *arguments)
    whole = (trained / 'iter_4.pth').read_bytes()
    (tmp_path / 'cut.pth').write_bytes(whole[:len(whole) // 2])
    for name in ('cut.pth', 'absent.pth'):
        with pytest.raises(SystemExit, match=name):
            run_tool('tools/test.py', tiny[0], tmp_path / name, *arguments)


class Call:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder, )


@pytest.mark.parametrize('tool', ['test', 'train'])
def test_foreign_checkpoints_are_refused_in_one_sentence(
        trained, tiny, tmp_path, tool):
    """By a tool, before it begins; nothing in the file is run."""
    path, folder = tmp_path / 'foreign.pth', tmp_path / 'made'
    torch.save(dict(state_dict=weights(trained, 4), args=Call(folder)), path)
    checkpoint = ([path] if tool == 'test'
                  else ['--cfg-options', f'load_from={path}'])
    process = subprocess.run(
        [sys.executable, f'tools/{tool}.py', tiny[0], *checkpoint, '--work-dir',
         tmp_path / 'run'], cwd=REPOSITORY, capture_output=True, text=True)
    assert process.returncode == 1
    sentence = process.stderr.splitlines()[-1]
    assert re.match(
        rf"checkpoint '{path}' is refused.*{os.mkdir.__module__}\.mkdir", sentence)
    for word in ('Traceback', 'weights_only', 'trust', '\x1b'):
        assert word not in process.stdout + process.stderr
    assert not folder.exists() and not (tmp_path / 'run').exists()
