"""Our backbone under mmseg's heads, started by mmseg's own tools."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mixed_configs import last_metrics, tiny_lists, tiny_mixed
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from tool_runs import MMSEG_TOOLS, read_metrics

from mmwsfs.registry import MODELS
from mmwsfs.utils.state_dict import read_state_dict


@pytest.fixture
def tiny(tiny_voc: Path, tmp_path: Path, monkeypatch, one_thread):
    """Makes a tiny child of a config of configs/mixed."""
    tiny_lists(tmp_path)
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(tiny_voc))
    monkeypatch.setenv('MMWSFS_LISTS', str(tmp_path))
    return lambda name: tiny_mixed(name, tmp_path)


def changed(folder: Path) -> set[str]:
    """Names of the weights that the second step changed."""
    first, second = (read_state_dict(folder / f'iter_{n}.pth') for n in (1, 2))
    return {name for name in first if not torch.equal(first[name], second[name])}


@pytest.mark.parametrize('tools, head', [
    (MMSEG_TOOLS, 'dino-vit-s_fcn'), (Path('tools'), 'dinov2-vit-s_fcn'),
    (MMSEG_TOOLS, 'dinov2-vit-s_upernet'), (MMSEG_TOOLS, 'dinov2-vit-s_segformer'),
    (MMSEG_TOOLS, 'dinov2-vit-s_fpn')])
def test_heads_on_a_frozen_backbone(tiny, run_tool, tmp_path, tools, head):
    """The head learns, nothing of the backbone does, IoUMetric scores it."""
    run_tool(tools / 'train.py', tiny(f'{head}_voc12'), '--work-dir', tmp_path / 'run')
    names = changed(tmp_path / 'run')
    assert not any(name.startswith('backbone.') for name in names)
    assert {'decode_head.conv_seg.weight', 'decode_head.conv_seg.bias'} <= names
    assert 0 <= last_metrics(tmp_path / 'run')['mIoU'] <= 100


def test_a_mixed_checkpoint_is_tested(tiny, run_tool, tmp_path):
    """By mmseg's tool as in the run's own validation."""
    config = tiny('dinov2-vit-s_segformer_voc12')
    run_tool('tools/train.py', config, '--work-dir', tmp_path / 'run')
    run_tool(MMSEG_TOOLS / 'test.py', config, tmp_path / 'run/iter_2.pth',
             '--work-dir', tmp_path / 'test', '--out', tmp_path / 'out')
    assert read_metrics(tmp_path / 'test')['mIoU'] == last_metrics(
        tmp_path / 'run')['mIoU']
    assert len(list((tmp_path / 'out').iterdir())) == 4


@pytest.mark.parametrize('name, frozen_blocks', [
    ('dinov2-vit-s_fcn_voc12_trained', 0), ('dinov2-vit-s_fcn_voc12_layer-decay', 6)])
def test_what_of_the_backbone_trains(tiny, run_tool, tmp_path, name, frozen_blocks):
    """All of it, or the blocks above the frozen ones; embeddings go with the latter."""
    run_tool(MMSEG_TOOLS / 'train.py', tiny(name), '--work-dir', tmp_path / 'run')
    names = changed(tmp_path / 'run')
    blocks = {int(key.split('.')[2]) for key in names if key.startswith(
        'backbone.layers')}
    assert blocks == set(range(frozen_blocks, 12))
    embeddings = {'backbone.pos_embed', 'backbone.cls_token',
                  'backbone.patch_embed.projection.weight'}
    assert embeddings & names == (set() if frozen_blocks else embeddings)
    assert 'decode_head.conv_seg.weight' in names


def rates(config: Path, **settings) -> dict[str, float]:
    """Learning rate of every parameter that the optimizer gets, over the base rate."""
    cfg = Config.fromfile(config)
    cfg.model.backbone.update(settings)
    model = MODELS.build(cfg.model)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {names[id(parameter)]: group['lr'] / cfg.optim_wrapper.optimizer.lr
            for group in wrapper.optimizer.param_groups
            for parameter in group['params']}


def test_rates_of_layer_wise_decay(tiny):
    """Full at the head, times 0.65 a block down; what is frozen has none."""
    config = tiny('dinov2-vit-s_fcn_voc12_layer-decay')
    found = rates(config, frozen_stages=-1, num_registers=2)
    assert found['decode_head.conv_seg.weight'] == 1
    assert found['backbone.ln1.weight'] == 1
    for block in range(12):
        assert found[f'backbone.layers.{block}.attn.qkv.weight'] == pytest.approx(
            0.65 ** (12 - block))
    for name in ('pos_embed', 'cls_token', 'register_tokens',
                 'patch_embed.projection.weight'):
        assert found[f'backbone.{name}'] == pytest.approx(0.65 ** 13)
    half = rates(config, num_registers=2)
    assert half == {name: rate for name, rate in found.items()
                    if not name.startswith('backbone.') or name.startswith(
                        'backbone.ln1') or (name.startswith('backbone.layers') and int(
                            name.split('.')[2]) >= 6)}


def test_rates_of_a_trained_backbone(tiny):
    """MMEngine's own lr_mult works through our constructor."""
    found = rates(tiny('dinov2-vit-s_fcn_voc12_trained'))
    backbone = [rate for name, rate in found.items() if name.startswith('backbone.')]
    assert backbone == pytest.approx([0.05] * len(backbone)) and backbone
    assert found['decode_head.conv_seg.weight'] == 1


def test_layer_wise_decay_needs_depths(tiny):
    """A CNN has none: one sentence says so."""
    cfg = Config.fromfile(tiny('dinov2-vit-s_fcn_voc12_layer-decay'))
    cfg.model.backbone = dict(type='mmseg.ResNet', depth=18)
    with pytest.raises(ValueError, match='get_layer_depth, which ResNet has not'):
        build_optim_wrapper(MODELS.build(cfg.model), cfg.optim_wrapper)
