"""Runs with cached features on real photographs, with a tiny random backbone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch
from free_port import free_port
from mmengine.runner import CheckpointLoader
from test_tiny_runs import assert_same
from tool_runs import REPOSITORY, environment, read_episodes, read_metrics

from mmwsfs.models import DINOVisionTransformer, FewShotSegmentor

CONFIG = """
_base_ = '{repository}/configs/wsfs/dinov2-vit-s_pascal5i_1shot_short.py'
model = dict(
    backbone=dict(
        _delete_=True, type='DINOVisionTransformer', patch_size=14, img_size=392,
        arch=dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)))
train_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False)
test_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False,
    dataset=dict(num_episodes=6))
val_dataloader = None
val_cfg = None
val_evaluator = None
train_cfg = dict(max_iters=4)
custom_hooks = [dict(type='PseudoLabelHook')]
default_hooks = dict(
    logger=dict(interval=1), checkpoint=dict(
        interval=2, max_keep_ckpts=5, save_best=None, rule=None))
"""


@pytest.fixture
def config(shared_data, monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(shared_data))
    path = tmp_path / 'tiny.py'
    path.write_text(CONFIG.format(repository=REPOSITORY))
    return path


@pytest.fixture
def subset(run_tool, monkeypatch) -> None:
    """After ``run_tool``, which clears these settings."""
    monkeypatch.setenv('MMWSFS_SPLITS', 'pascal5i_subset')
    monkeypatch.setenv('MMWSFS_FOLD', '1')


def options(tmp_path: Path, **cache) -> tuple[str, ...]:
    cache = {'folder': tmp_path / 'features', 'ram_gb': 0, **cache}
    return ('--cfg-options', *(f'model.cache.{k}={v}' for k, v in cache.items()))


def weights(work_dir: Path) -> dict[str, torch.Tensor]:
    return CheckpointLoader.load_checkpoint(
        str(work_dir / 'iter_4.pth'), 'cpu')['state_dict']


@pytest.fixture
def logits(monkeypatch) -> list[torch.Tensor]:
    """The segmentation logits of the last run, as they come."""
    found = []
    pair_logits = FewShotSegmentor.pair_logits

    def spy(self, *args):
        result = pair_logits(self, *args)
        found.append(result[1])
        return result

    monkeypatch.setattr(FewShotSegmentor, 'pair_logits', spy)
    return found


@pytest.mark.parametrize('storage, tolerance', [('float16', 2e-3), ('int8', 0.1)])
def test_every_tier_gives_the_same_numbers(
        config, run_tool, subset, logits, monkeypatch, tmp_path, storage, tolerance):
    """Off, memory, disk and disk again, which neither decodes nor computes.

    The tolerance is a share of the standard deviation of the logits, for the worst one:
    with 8 bits 0.05 was measured.
    """
    run_tool('tools/train.py', config, '--work-dir', tmp_path / 'train',
             '--cfg-options', 'train_cfg.max_iters=2')

    def test(name: str, *settings) -> tuple[dict, list[dict], torch.Tensor]:
        logits.clear()
        run_tool('tools/test.py', config, tmp_path / 'train/iter_2.pth', '--work-dir',
                 tmp_path / name, *settings)
        return (read_metrics(tmp_path / name), read_episodes(tmp_path / name),
                torch.cat(logits))

    off = test('off', '--cfg-options', 'model.cache=None')
    ram = test('ram', *options(tmp_path, ram_gb=1, storage=storage))
    disk = test('disk', *options(tmp_path, disk_gb=1, storage=storage))
    for name in ('mmwsfs.datasets.LoadImageFromFile.transform',
                 f'{DINOVisionTransformer.__module__}.DINOVisionTransformer.extract'):
        monkeypatch.setattr(name, lambda *args: pytest.fail('decoded or computed'))
    again = test('again', *options(tmp_path, disk_gb=1, storage=storage))

    assert off[0]['episodes'] == 6
    for cached in (disk, again):
        assert torch.equal(cached[2], ram[2])
        assert cached[:2] == ram[:2]
    assert not torch.equal(off[2], ram[2])
    spread = off[2].std()
    worst = (off[2] - ram[2]).abs().max() / spread
    assert worst <= tolerance
    for name in ('mIoU', 'exact_ratio'):
        assert ram[0][name] == pytest.approx(off[0][name], abs=1)


def test_resumed_and_cached_equals_uninterrupted(config, run_tool, subset, tmp_path):
    """Stopped, resumed with what the folder holds, and with an emptied folder."""
    cache = options(tmp_path, disk_gb=1, ram_gb=0.01)
    run_tool('tools/train.py', config, '--work-dir', tmp_path / 'whole', *cache)
    for emptied in (False, True):
        work_dir = tmp_path / f'emptied_{emptied}'
        run_tool('tools/train.py', config, '--work-dir', work_dir, *cache,
                 'train_cfg.max_iters=2')
        assert not (work_dir / 'iter_4.pth').exists()
        for path in (tmp_path / 'features').rglob('*.features'):
            if emptied:
                path.unlink()
        run_tool('tools/train.py', config, '--work-dir', work_dir, '--resume', *cache)
        assert_same(weights(work_dir), weights(tmp_path / 'whole'), rtol=0, atol=0)


def test_two_processes_share_a_folder(config, run_tool, subset, tmp_path):
    """They warm it up together, each its half; then there is nothing to add."""
    def entries() -> dict[Path, int]:
        return {path: path.stat().st_ino
                for path in (tmp_path / 'features').rglob('*.features')}

    cache = options(tmp_path, disk_gb=1, warm_up=True)
    run_tool('tools/train.py', config, '--work-dir', tmp_path / 'train',
             '--cfg-options', 'train_cfg.max_iters=2', 'model.cache=None')
    checkpoint = tmp_path / 'train/iter_2.pth'
    subprocess.run(
        ['bash', 'tools/dist_test.sh', config, checkpoint, '2', '--work-dir',
         tmp_path / 'two', *cache],
        check=True, env=environment(PORT=free_port()), cwd=REPOSITORY, timeout=300)
    shared = entries()
    assert len(shared) > 6
    run_tool('tools/test.py', config, checkpoint, '--work-dir', tmp_path / 'one',
             *cache)
    assert entries() == shared
    assert read_metrics(tmp_path / 'one') == read_metrics(tmp_path / 'two')
