"""Reading backbone files: every naming in use, and every way a file can be wrong."""

import io
import os
import pickle
import traceback
from urllib.error import URLError

import pytest
import torch
import vit_reference
from mmengine.model import BaseModule
from vit_reference import tensors

from mmwsfs.models.backbones import DINOVisionTransformer
from mmwsfs.models.backbones.dino_checkpoint import (
    read_state_dict,
    to_mmpretrain_names,
)

WIDTH, DEPTH, PATCH, SIZE = 24, 2, 4, 12
ARCH = dict(
    embed_dims=WIDTH, num_layers=DEPTH, num_heads=3, feedforward_channels=2 * WIDTH)


def official(**kwargs):
    """The table of a small network."""
    return vit_reference.official(
        WIDTH, 2 * WIDTH, DEPTH, PATCH, (SIZE // PATCH)**2, **kwargs)


def save(tmp_path, content):
    path = tmp_path / 'backbone.pth'
    torch.save(content, path)
    return str(path)


def build(checkpoint, **kwargs):
    """Build and load as MMEngine does: init_weights with an init_cfg."""
    model = DINOVisionTransformer(**{
        **dict(arch=ARCH, img_size=SIZE, patch_size=PATCH,
               init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint))),
        **kwargs})
    model.init_weights()
    return model


def assert_loaded(model, table, weights):
    loaded = model.state_dict()
    assert loaded.keys() == {name for name, _ in table.values() if name}
    for old, (new, _) in table.items():
        if new:
            assert torch.equal(loaded[new], weights[old]), f'{old} -> {new}'


def plain(weights):
    return weights


def teacher_backbone(weights):
    """A whole DINO training checkpoint."""
    return dict(
        epoch=3,
        teacher={**{f'backbone.{k}': v for k, v in weights.items()},
                 'head.mlp.0.weight': torch.ones(2, 2)},
        student={f'module.backbone.{k}': -v for k, v in weights.items()})


def module_state_dict(weights):
    """A file of DistributedDataParallel."""
    return dict(state_dict={f'module.{k}': v for k, v in weights.items()})


def lightning(weights):
    """CST's released files: the backbone beside the learner."""
    return dict(
        state_dict={**{f'backbone.{k}': v for k, v in weights.items()},
                    'learner.linear.0.weight': torch.ones(2, 2)})


def with_head(weights):
    return dict(model={**weights, 'head.weight': torch.ones(1, 1),
                       'mask_token': torch.ones(1, WIDTH)})


@pytest.mark.parametrize(
    'wrap', [plain, teacher_backbone, module_state_dict, lightning, with_head])
@pytest.mark.parametrize('in_file, in_config', [
    (dict(), dict()),
    (dict(layer_scale=True), dict(layer_scale_init_value=1.0)),
    (dict(layer_scale=True, registers=4),
     dict(layer_scale_init_value=1.0, num_registers=4)),
    (dict(layer_scale=True, swiglu=True),
     dict(layer_scale_init_value=1.0, layer_cfgs=dict(ffn_type='swiglu_fused'))),
], ids=['dino', 'dinov2', 'registers', 'swiglu'])
def test_official_names_load(tmp_path, wrap, in_file, in_config):
    """DINO's and DINOv2's names, bare and in the wrappings they are met in."""
    table = official(**in_file)
    weights = tensors(table)
    model = build(save(tmp_path, wrap(weights)), **in_config)
    assert_loaded(model, table, weights)


@pytest.mark.parametrize('prefix', ['', 'backbone.'])
def test_mmpretrain_names_load(tmp_path, prefix):
    """mmpretrain's names, as a backbone's file or as a whole classifier's."""
    table = official(layer_scale=True)
    weights = tensors(table)
    content = {prefix + new: weights[old] for old, (new, _) in table.items() if new}
    if prefix:
        content['head.layers.head.weight'] = torch.ones(2, 2)
    model = build(
        save(tmp_path, dict(meta=dict(epoch=1), state_dict=content)),
        layer_scale_init_value=1.0)
    assert_loaded(model, table, weights)


def test_full_dino_vit_s8_loads(tmp_path):
    """The real shapes of dino_deitsmall8: each tensor lands where it belongs."""
    table = vit_reference.official(
        width=384, hidden=1536, depth=12, patch=8, patches=28 * 28)
    assert len(table) == 150
    # One number a tensor, stored once: the file stays small.
    weights = {
        name: torch.tensor(float(number)).expand(shape)
        for number, (name, (_, shape)) in enumerate(table.items())}
    model = DINOVisionTransformer(init_cfg=dict(
        type='Pretrained', checkpoint=save(tmp_path, weights)))
    model.init_weights()
    assert_loaded(model, table, weights)
    assert sum(p.numel() for p in model.parameters()) == 21_670_272


def test_loaded_weights_survive_the_parents_init(tmp_path):
    """A parent's init_weights() loads the file, and nothing is drawn over it."""
    table = official()
    weights = tensors(table)
    path = save(tmp_path, weights)

    class Parent(BaseModule):

        def __init__(self):
            super().__init__()
            self.backbone = DINOVisionTransformer(
                arch=ARCH, img_size=SIZE, patch_size=PATCH,
                init_cfg=dict(type='Pretrained', checkpoint=path))

    parent = Parent()
    parent.init_weights()
    assert_loaded(parent.backbone, table, weights)
    assert parent.backbone.is_init


def test_missing_file(tmp_path):
    """The message names the file and the setting."""
    path = tmp_path / 'absent.pth'
    with pytest.raises(
            FileNotFoundError, match=r'absent\.pth.*model\.backbone\.init_cfg'):
        build(path)


@pytest.mark.parametrize('share', [0.0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize('zipped', [True, False])
def test_truncated_file(tmp_path, share, zipped):
    """A download cut off anywhere, in torch's new and old format."""
    whole = io.BytesIO()
    torch.save(tensors(official()), whole, _use_new_zipfile_serialization=zipped)
    path = tmp_path / 'cut.pth'
    path.write_bytes(whole.getvalue()[:int(share * len(whole.getvalue()))])
    with pytest.raises(ValueError, match=r'cut\.pth.*truncated'):
        build(path)


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder, )


@pytest.mark.parametrize('kind', ['zip', 'legacy', 'pickle'])
def test_foreign_objects_are_refused_and_not_run(tmp_path, kind):
    """Nothing that a file contains is executed."""
    folder, path = tmp_path / 'made', tmp_path / 'evil.pth'
    content = dict(state_dict=tensors(official()), hook=Evil(folder))
    if kind == 'pickle':
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == 'zip')
    with pytest.raises(ValueError, match=r'evil\.pth.*plain tensors') as error:
        build(path)
    printed = ''.join(traceback.format_exception(error.value))
    assert 'trust' not in printed and '\x1b' not in printed
    assert '\n' not in str(error.value)
    if kind != 'pickle':
        assert f'{os.mkdir.__module__}.mkdir' in str(error.value)
    assert not folder.exists()
    # The file does what it should if it is trusted, or this test would say nothing.
    if kind == 'pickle':
        pickle.loads(path.read_bytes())
    else:
        torch.load(path, weights_only=False)
    assert folder.exists()


@pytest.mark.parametrize('content', [
    [torch.ones(2)], torch.ones(2), dict(state_dict=dict(a=3)), dict(a='b')])
def test_file_without_state_dict(tmp_path, content):
    """Tensors, but no names; or names, but no tensors."""
    with pytest.raises(ValueError, match='holds no state dict'):
        build(save(tmp_path, content))


def test_foreign_network(tmp_path):
    """A ResNet's file: what is missing and what is unknown is listed."""
    path = save(tmp_path, {
        'conv1.weight': torch.ones(1), 'layer1.0.bn1.weight': torch.ones(1)})
    with pytest.raises(ValueError, match='does not fit') as error:
        build(path)
    message = str(error.value)
    assert f'{len(official())} missing: cls_token, layers.0.attn.proj.bias' in message
    assert 'layers.0.ffn.layers.1.bias, ...; 2 unknown' in message  # the list is cut
    assert '2 unknown: conv1.weight, layer1.0.bn1.weight' in message


@pytest.mark.parametrize('change, expected', [
    (lambda weights: weights.pop('norm.bias'), '1 missing: ln1.bias'),
    (lambda weights: weights.update({'register_tokens': torch.ones(1, 4, WIDTH)}),
     '1 unknown: register_tokens'),
    (lambda weights: weights.update({'blocks.0.ls1.gamma': torch.ones(WIDTH)}),
     '1 unknown: layers.0.attn.gamma1.weight'),
    (lambda weights: weights.update({'blocks.0.mlp.w3.bias': torch.ones(WIDTH)}),
     '1 unknown: layers.0.ffn.w3.bias'),
    (lambda weights: weights.update({'pos_embed': torch.ones(1, 17, WIDTH)}),
     r'1 of another shape: pos_embed (1, 17, 24) instead of (1, 10, 24)'),
])
def test_one_parameter_does_not_fit(tmp_path, change, expected):
    """One missing, unknown (registers, LayerScale, SwiGLU) or of another shape."""
    weights = tensors(official())
    change(weights)
    with pytest.raises(ValueError, match='does not fit') as error:
        build(save(tmp_path, weights))
    assert expected in str(error.value)


def test_nothing_is_loaded_from_a_file_that_does_not_fit(tmp_path):
    """No half-loaded backbone."""
    weights = tensors(official())
    del weights['norm.bias']
    model = DINOVisionTransformer(
        arch=ARCH, img_size=SIZE, patch_size=PATCH,
        init_cfg=dict(type='Pretrained', checkpoint=save(tmp_path, weights)))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError):
        model.init_weights()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_read_state_dict_takes_the_tensors_out(tmp_path):
    """A user's ~ is expanded, and wrappers may be nested."""
    weights = tensors(official())
    path = save(tmp_path, dict(state_dict=dict(model=weights)))
    found = read_state_dict(path)
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], weights[name]) for name in weights)


def test_home_is_expanded(tmp_path, monkeypatch):
    """'~/backbone.pth' is the file in the user's home."""
    monkeypatch.setenv('HOME', str(tmp_path))
    save(tmp_path, dict(a=torch.ones(1)))
    assert read_state_dict('~/backbone.pth')['a'] == 1


def test_names_alone():
    """The renaming keeps the values and lets mmpretrain's names through."""
    table = official(layer_scale=True)
    weights = tensors(table)
    renamed = to_mmpretrain_names(weights)
    assert renamed.keys() == {new for new, _ in table.values() if new}
    assert all(
        renamed[new] is weights[old] for old, (new, _) in table.items() if new)
    assert to_mmpretrain_names(renamed).keys() == renamed.keys()


@pytest.mark.parametrize('raised, expected, message', [
    (URLError('no route'), OSError, 'cannot fetch .*net/dino.pth'),
    (RuntimeError('PytorchStreamReader'), ValueError, 'dino.pth.*delete it'),
])
def test_urls_that_fail(monkeypatch, raised, expected, message):
    """No network, and a download that was cut off and stays in the cache."""

    def load(*args, **kwargs):
        raise raised

    monkeypatch.setattr(torch.hub, 'load_state_dict_from_url', load)
    with pytest.raises(expected, match=message) as error:
        read_state_dict('https://some.net/dino.pth')
    assert 'PytorchStreamReader' not in ''.join(
        traceback.format_exception(error.value))


def test_schemes_whose_loaders_may_unpickle_are_refused():
    with pytest.raises(ValueError, match='unknown scheme'):
        read_state_dict('s3://bucket/dino.pth')
