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
from mmseg.apis import MMSegInferencer
from mmseg.apis import init_model as mmseg_init_model

from mmwsfs.apis import FewShotInferencer, init_model, model_names
from mmwsfs.models import PseudoMaskSegmentor
from mmwsfs.models.segmentors.published_backbone import leave_out_backbone

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


@pytest.mark.parametrize('kind', ['DINOVisionTransformer', 'DINOv3VisionTransformer'])
def test_nothing_is_drawn_that_is_read(
        tiny_config: Config, tmp_path: Path, kind: str) -> None:
    """A backbone that takes all of itself from its file needs no random weights."""
    sizes = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)
    if kind == 'DINOv3VisionTransformer':
        sizes['swiglu'] = False
        tiny_config.model.backbone = dict(type=kind, arch=sizes)
    with pytest.warns(UserWarning, match='untrained'):
        weights = init_model(tiny_config).state_dict()
    torch.save(weights, tmp_path / 'whole.pth')
    torch.save(leave_out_backbone(weights), tmp_path / 'published.pth')
    tiny_config.model.backbone.init_cfg = dict(
        type='Pretrained', checkpoint=str(tmp_path / 'whole.pth'))
    before = torch.get_rng_state()
    model = init_model(tiny_config, tmp_path / 'published.pth')
    assert torch.equal(torch.get_rng_state(), before)
    assert_same_weights(model.state_dict(), weights)


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


# ------------------------------------------------------------- what is meant
@pytest.fixture
def carrying(tiny_config: Config, tiny_checkpoint: Path) -> Path:
    """``tiny_checkpoint`` with its config."""
    torch.save(dict(
        torch.load(tiny_checkpoint), meta=dict(cfg=tiny_config.pretty_text)),
        tiny_checkpoint)
    return tiny_checkpoint


def test_a_checkpoint_alone(
        tiny_config: Config, carrying: Path, capfd: pytest.CaptureFixture) -> None:
    """It carries its config; nothing is printed, and no weight is left as it was."""
    capfd.readouterr()
    model = init_model(carrying)
    assert capfd.readouterr() == ('', '')
    assert_same_weights(model.state_dict(), torch.load(carrying)['state_dict'])
    assert model.supervision == 'image' and model.cfg.model == tiny_config.model
    assert model.cfg.test_dataloader.dataset.pipeline == (
        tiny_config.test_dataloader.dataset.pipeline)


def test_a_given_config_wins(tiny_config: Config, carrying: Path) -> None:
    """The carried one is not even read."""
    tiny_config.model.supervision = 'mixed'
    assert init_model(tiny_config, carrying).supervision == 'mixed'
    torch.save(dict(torch.load(carrying), meta=dict(cfg='import os')), carrying)
    assert init_model(tiny_config, carrying).supervision == 'mixed'


def test_config_of_one_weights_of_another(
        tiny_config: Config, carrying: Path, tmp_path: Path) -> None:
    """Both may be checkpoints."""
    weights = {name: value + 1 for name, value in
               torch.load(carrying)['state_dict'].items()}
    torch.save(dict(state_dict=weights), tmp_path / 'other.pth')
    assert_same_weights(
        init_model(carrying, tmp_path / 'other.pth').state_dict(), weights)


def test_weights_alone_carry_no_config(tiny_checkpoint: Path) -> None:
    with pytest.raises(ValueError, match=r"tiny\.pth' carries no config: give"):
        init_model(tiny_checkpoint)


def test_a_carried_config_of_another_release(
        tiny_config: Config, carrying: Path) -> None:
    """It is told as the file's; a part's own error is in the sentence."""
    tiny_config.model.neck.of_old = 1
    torch.save(dict(torch.load(carrying), meta=dict(
        cfg=tiny_config.pretty_text)), carrying)
    with pytest.raises(ValueError, match=(
            r"tiny\.pth' carries makes no model of this release .*of_old")) as error:
        init_model(carrying)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(('name', 'near'), [
    ('cst-photo', 'cst-photos'), ('CST-Photos', 'cst-photos'),
    ('prototype', 'prototypes'), ('Prototypes', 'prototypes')])
def test_near_names(name: str, near: str) -> None:
    """Names are exact; the error knows what was meant, and all that there are."""
    with pytest.raises(ValueError, match=(
            f"'{name}' is neither .* did you mean '{near}'.*cst-photos, prototypes")):
        init_model(name)
    with pytest.raises(ValueError, match="'xyzzy' is neither") as error:
        init_model('xyzzy')
    assert 'did you mean' not in str(error.value)


def test_a_name_without_its_file(monkeypatch) -> None:
    """An installation that lacks it says so."""
    monkeypatch.setitem(
        model_names.MODELS, 'cst-photos', model_names.NamedModel(None, 'no.pth', ''))
    with pytest.raises(FileNotFoundError, match="'cst-photos' did not come with"):
        init_model('cst-photos')


def test_a_name_means_the_same_in_every_folder(
        carrying: Path, tmp_path: Path, monkeypatch) -> None:
    """A file of that name is ``./NAME``."""
    monkeypatch.chdir(tmp_path)
    carrying.rename('named')
    monkeypatch.setitem(
        model_names.MODELS, 'named', model_names.NamedModel(None, 'no.pth', ''))
    with pytest.raises(FileNotFoundError, match='did not come with'):
        init_model('named')
    assert init_model('./named').supervision == 'image'


def test_training_free_by_name(shared_data: Path) -> None:
    """Tags of one class are all that it needs."""
    inferencer = FewShotInferencer('prototypes', None, 'cpu')
    photos = sorted(shared_data.glob('VOCdevkit/VOC2012/JPEGImages/*.jpg'))[:2]
    inferencer.set_supports({'thing': photos[0]})
    result, = inferencer(photos[1:])
    assert set(result['presence']) == {'thing'}
    assert init_model(
        'mmwsfs::rivals/prototypes_photos.py').cfg.model == inferencer.model.cfg.model


@pytest.mark.parametrize('scope', ['mmseg', 'mmwsfs'])
def test_mmengines_inferencers_refuse(
        tiny_config: Config, carrying: Path, scope: str, tmp_path: Path) -> None:
    """They have no place for supports: one sentence, with what to take instead."""
    tiny_config.dump(tmp_path / 'tiny.py')
    for model, weights in (
            (str(tmp_path / 'tiny.py'), str(carrying)), (tiny_config, None),
            (None, str(carrying))):
        with pytest.raises(ValueError, match=(
                "'FewShotSegmentor' finds what supports show.*FewShotInferencer")) as e:
            MMSegInferencer(model, weights, device='cpu', scope=scope)
        assert '\n' not in str(e.value)


def test_mmengines_inferencers_run_no_carried_config(
        carrying: Path, tmp_path: Path) -> None:
    """MMEngine itself would."""
    text = f"import os\nos.mkdir({str(tmp_path / 'made')!r})\n"
    torch.save(dict(torch.load(carrying), meta=dict(cfg=text)), carrying)
    with pytest.raises(ValueError, match=r"tiny\.pth' carries is refused"):
        MMSegInferencer(None, str(carrying), device='cpu')
    assert not (tmp_path / 'made').exists()


def test_mmengines_inferencers_of_others_still_work(tmp_path: Path) -> None:
    """mmseg's own model passes on to MMEngine."""
    cfg = Config(dict(model=dict(type='Absent')))
    with pytest.raises(KeyError, match='Absent is not in the mmseg::model registry'):
        MMSegInferencer(cfg, device='cpu')
