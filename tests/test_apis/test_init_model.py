"""init_model: a config's model with a checkpoint's weights, ready to predict."""
from __future__ import annotations

import argparse
import traceback
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmseg.apis import init_model as mmseg_init_model

from mmwsfs.apis import init_model
from mmwsfs.models import PseudoMaskSegmentor

CONFIGS = Path(__file__).parents[2] / 'configs/wsfs'


def assert_same_weights(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


@pytest.mark.parametrize('read', [False, True], ids=['path', 'config'])
def test_weights_mode_and_supervision(
        tiny_config: Config, tiny_checkpoint: Path, tmp_path: Path,
        read: bool) -> None:
    """The checkpoint's weights, in evaluation mode, with the config's supervision."""
    path = tmp_path / 'config.py'
    tiny_config.dump(path)
    config = Config.fromfile(path) if read else path
    model = init_model(config, tiny_checkpoint)
    assert_same_weights(
        model.state_dict(), torch.load(tiny_checkpoint)['state_dict'])
    assert not any(module.training for module in model.modules())
    assert model.supervision == 'image'
    assert model.cfg.model.type == 'FewShotSegmentor'


@pytest.mark.parametrize('supervision', ['pixel', 'image', 'mixed'])
@pytest.mark.parametrize('hooks', [
    [dict(type='EMAHook'), dict(type='PseudoLabelHook', num_pictures=3)], [], None])
def test_supervision_is_the_configs(
        tiny_config: Config, tiny_checkpoint: Path, hooks: list[dict] | None,
        supervision: str) -> None:
    """Whatever hooks there are."""
    tiny_config.custom_hooks = hooks
    tiny_config.model.supervision = supervision
    assert init_model(tiny_config, tiny_checkpoint).supervision == supervision


def test_a_config_without_supervision(
        tiny_config: Config, tiny_checkpoint: Path) -> None:
    """One of before it was the model's is refused, with what to write."""
    del tiny_config.model['supervision']
    with pytest.raises(ValueError, match=(
            "model.supervision is None: set it to 'pixel', 'image' or 'mixed' .*'image'"
            " where its custom_hooks have a PseudoLabelHook")):
        init_model(tiny_config, tiny_checkpoint)


@pytest.mark.parametrize(('name', 'supervision'), [
    ('vit-s_pascal5i_1shot', 'image'), ('vit-s_pascal5i_1shot_pixel', 'pixel'),
    ('vit-s_pascal5i_1shot_mixed10', 'mixed')])
def test_mmsegs_init_model(name: str, supervision: str) -> None:
    """mmseg's own function gives a config's model of the config's supervision."""
    backbone = dict(
        _delete_=True, type='DINOVisionTransformer', patch_size=8, img_size=32,
        arch=dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=96))
    layers = {'model.labeler.probe.layers': (0, 1)} if supervision == 'mixed' else {}
    model = mmseg_init_model(
        CONFIGS / f'{name}.py', device='cpu',
        cfg_options={'model.backbone': backbone, **layers})
    assert model.supervision == supervision and not model.training


def test_baseline(tiny_config: Config, tiny_checkpoint: Path) -> None:
    """The bare pseudo-masks are of supervision 'image', whatever the config says."""
    tiny_config.model.supervision = 'pixel'
    tiny_config.model.type = 'PseudoMaskSegmentor'
    model = init_model(tiny_config, tiny_checkpoint)
    assert isinstance(model, PseudoMaskSegmentor) and model.supervision == 'image'


def test_checkpoint_of_a_training(tiny_config: Config) -> None:
    """What MMEngine writes, with its optimizer, configs and log, is read."""
    tiny_config.default_hooks.checkpoint = dict(
        type='CheckpointHook', by_epoch=False, interval=2)
    runner = Runner.from_cfg(tiny_config)
    runner.train()
    checkpoint = Path(tiny_config.work_dir) / 'iter_2.pth'
    assert_same_weights(
        init_model(tiny_config, checkpoint).state_dict(), runner.model.state_dict())


def test_scope_of_the_caller(tiny_config: Config, tiny_checkpoint: Path) -> None:
    """A program that works in mmseg's scope finds it unchanged."""
    with DefaultScope.overwrite_default_scope('mmseg'):
        init_model(tiny_config, tiny_checkpoint)
        assert DefaultScope.get_current_instance().scope_name == 'mmseg'


def test_without_checkpoint(
        tiny_config: Config, tiny_checkpoint: Path, tmp_path: Path) -> None:
    """The backbone has its pretrained weights, and the rest is said to have none."""
    weights = {
        name.removeprefix('backbone.'): value
        for name, value in torch.load(tiny_checkpoint)['state_dict'].items()
        if name.startswith('backbone.')}
    torch.save(weights, tmp_path / 'backbone.pth')
    tiny_config.model.backbone.init_cfg = dict(
        type='Pretrained', checkpoint=str(tmp_path / 'backbone.pth'))
    with pytest.warns(UserWarning, match='neck and the heads are untrained'):
        model = init_model(tiny_config)
    assert_same_weights(model.backbone.state_dict(), weights)


class Call:
    """Calls a function when it is unpickled."""

    def __init__(self, *call) -> None:
        self.function, *self.arguments = call

    def __reduce__(self):
        return self.function, tuple(self.arguments)


def test_objects_passed_over_are_not_run(
        tiny_config: Config, tiny_checkpoint: Path, tmp_path: Path) -> None:
    """What stands where MMEngine's log does is left, whatever it is."""
    target = tmp_path / 'written'
    torch.save(
        dict(torch.load(tiny_checkpoint),
             message_hub=Call(exec, f"open({str(target)!r}, 'w')")), tiny_checkpoint)
    init_model(tiny_config, tiny_checkpoint)
    assert not target.exists()


def test_other_objects_are_refused(
        tiny_config: Config, tiny_checkpoint: Path, tmp_path: Path) -> None:
    """And not run either; the message names file and object."""
    target = tmp_path / 'written'
    torch.save(
        dict(torch.load(tiny_checkpoint), meta=Call(Path.touch, target)),
        tiny_checkpoint)
    with pytest.raises(ValueError, match=r'tiny\.pth.*pathlib'):
        init_model(tiny_config, tiny_checkpoint)
    assert not target.exists()


def test_a_foreign_checkpoint_is_told_in_one_sentence(
        tiny_config: Config, tiny_checkpoint: Path) -> None:
    """None of torch's paragraphs, and no advice to read it all the same."""
    torch.save(
        dict(torch.load(tiny_checkpoint), args=argparse.Namespace()), tiny_checkpoint)
    with pytest.raises(ValueError, match=r'argparse\.Namespace') as caught:
        init_model(tiny_config, tiny_checkpoint)
    printed = ''.join(traceback.format_exception(caught.value))
    assert 'weights_only' not in str(caught.value) and '\n' not in str(caught.value)
    assert 'trust' not in printed and '\x1b' not in printed


def change(path: Path, how: str) -> None:
    """Spoil a checkpoint."""
    weights = torch.load(path)['state_dict']
    if how == 'missing':
        path.unlink()
    elif how == 'truncated':
        path.write_bytes(path.read_bytes()[:-2000])
    elif how == 'incomplete':
        del weights['neck.project.0.bias']
        torch.save(dict(state_dict=weights), path)
    elif how == 'reshaped':
        weights['cls_head.layers.0.bias'] = torch.zeros(3)
        torch.save(dict(state_dict=weights), path)
    else:
        torch.save([1, 2], path)


@pytest.mark.parametrize(('how', 'error', 'message'), [
    ('missing', FileNotFoundError, 'does not exist'),
    ('truncated', ValueError, 'truncated'),
    ('incomplete', ValueError, r'1 missing: neck\.project\.0\.bias'),
    ('reshaped', ValueError, r'cls_head\.layers\.0\.bias \(3,\) instead of \(128,\)'),
    ('no state dict', ValueError, 'holds no state dict'),
])
def test_bad_checkpoints(
        tiny_config: Config, tiny_checkpoint: Path, how: str, error: type,
        message: str) -> None:
    """One error that names the file and what is wrong with it."""
    change(tiny_checkpoint, how)
    with pytest.raises(error, match=message) as caught:
        init_model(tiny_config, tiny_checkpoint)
    assert str(tiny_checkpoint) in str(caught.value)


def test_other_models_are_refused(tiny_config: Config) -> None:
    """A component alone, or mmseg's segmentor, is no few-shot model."""
    tiny_config.model = tiny_config.model.backbone
    with pytest.raises(TypeError, match='DINOVisionTransformer.*FewShotSegmentor'):
        init_model(tiny_config)


def test_missing_config(tmp_path: Path) -> None:
    """The file is named."""
    with pytest.raises(FileNotFoundError, match=r'none\.py'):
        init_model(tmp_path / 'none.py')
