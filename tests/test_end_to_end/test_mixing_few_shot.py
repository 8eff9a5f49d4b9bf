"""The correlation transformer on other libraries' backbones, and mmseg's --out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mixed_configs import MIXED, change
from mmengine.config import Config
from PIL import Image
from tool_runs import MMSEG_TOOLS, read_episodes, read_report

from mmwsfs.utils.state_dict import read_state_dict

VIT = dict(arch=dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32),
           img_size=32, patch_size=8, init_cfg=None)
CNN = dict(depth=18, base_channels=8, stem_channels=8, init_cfg=None)


@pytest.fixture
def tiny(tiny_voc: Path, tmp_path: Path, monkeypatch, one_thread):
    """Makes a tiny child of a few-shot config of configs/mixed, of two ways."""
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(tiny_voc))

    def build(name: str) -> Path:
        cfg = Config.fromfile(MIXED / f'{name}.py')
        content = change(cfg.to_dict(), lambda leaf: leaf)
        backbone = content['model']['backbone']
        if 'cnn' in backbone:
            backbone.update(channels=[8, 16, 32, 64])
            backbone['cnn'].update(CNN)
        else:
            backbone['vit'].update(VIT)
        for loader in ('train_dataloader', 'test_dataloader'):
            content[loader].update(
                batch_size=2, num_workers=0, persistent_workers=False)
            content[loader]['dataset'].update(
                img_size=32, lists='splits/tiny')
        content['test_dataloader']['dataset'].update(num_episodes=4, way=2)
        content.update(val_dataloader=None, val_cfg=None, val_evaluator=None)
        content['train_cfg'] = dict(type='IterBasedTrainLoop', max_iters=2)
        content['default_hooks']['checkpoint'].update(interval=1, save_best=None)
        content['default_hooks']['checkpoint'].pop('max_keep_ckpts')
        path = tmp_path / f'{name}.py'
        Config(content).dump(path)
        return path
    return build


@pytest.mark.parametrize('name', [
    'deit-s_cst_pascal5i_1shot', 'mae-vit-b_cst_pascal5i_1shot_pixel',
    'resnet50_cst_pascal5i_1shot_pixel'])
def test_it_trains_and_its_label_maps_are_written(
        tiny, tiny_voc, run_tool, tmp_path, name):
    """By mmseg's tools. What is written is what was scored: the mIoU follows from it.
    """
    config, out = tiny(name), tmp_path / 'out'
    run_tool(MMSEG_TOOLS / 'train.py', config, '--work-dir', tmp_path / 'run')
    first, last = (read_state_dict(tmp_path / f'run/iter_{n}.pth') for n in (1, 2))
    changed = {key for key in first if not torch.equal(first[key], last[key])}
    assert 'seg_head.layers.0.weight' in changed
    assert any(key.startswith('neck.') for key in changed)
    assert not any(key.startswith('backbone.') for key in changed)
    run_tool(MMSEG_TOOLS / 'test.py', config, tmp_path / 'run/iter_2.pth',
             '--work-dir', tmp_path / 'test', '--out', out)
    report = read_report(tmp_path / 'test')
    names = {name: int(number)
             for number, name in report['dataset']['classes'].items()}
    areas = {number: np.zeros(2, int) for number in names.values()}
    episodes = read_episodes(tmp_path / 'test')
    assert len(episodes) == len(list(out.iterdir())) == 4
    for row in episodes:
        number, query = int(row['episode']), Path(row['query']).stem
        with Image.open(out / f'{number:06d}_{query}.png') as image:
            predicted = np.array(image)
        with Image.open(tiny_voc / 'VOCdevkit/VOC2012/SegmentationClassAug'
                        / f'{query}.png') as image:
            truth = np.array(image)
        assert predicted.dtype == np.uint8 and predicted.shape == truth.shape
        ways = [names[row[f'class_{way}']] for way in (1, 2)]
        assert set(np.unique(predicted)) <= {0, 1, 2}
        for way, number in enumerate(ways, start=1):
            mine, right = predicted == way, truth == number
            areas[number] += (mine & right).sum(), (mine | right).sum()
    ious = [both / either for both, either in areas.values() if either]
    assert report['metrics']['mIoU'] == pytest.approx(100 * np.mean(ious))
