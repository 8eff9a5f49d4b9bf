"""DINOv3's files: everybody's names, all formats and places, the same weights."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from web_server import body, serve

from mmwsfs.registry import MODELS

WIDTH, DEPTH, HEADS, HIDDEN = 32, 2, 2, 64


def build(checkpoint: object, swiglu: bool) -> nn.Module:
    model = MODELS.build(dict(
        type='DINOv3VisionTransformer', arch=dict(
            embed_dims=WIDTH, num_layers=DEPTH, num_heads=HEADS,
            feedforward_channels=HIDDEN, swiglu=swiglu),
        init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint))))
    model.init_weights()
    return model


def weights(swiglu: bool) -> dict[str, Tensor]:
    """By the names of our module; keys have no bias."""
    generator = torch.Generator().manual_seed(0)
    shapes = {
        'cls_token': (1, 1, WIDTH), 'register_tokens': (1, 4, WIDTH),
        'patch_embed.proj.weight': (WIDTH, 3, 16, 16),
        'patch_embed.proj.bias': (WIDTH, ),
        'norm.weight': (WIDTH, ), 'norm.bias': (WIDTH, )}
    for block in range(DEPTH):
        for name, shape in {
                'norm1': (WIDTH, ), 'attn.qkv': (3 * WIDTH, WIDTH),
                'attn.proj': (WIDTH, WIDTH), 'norm2': (WIDTH, ),
                **({'mlp.w12': (2 * HIDDEN, WIDTH), 'mlp.w3': (WIDTH, HIDDEN)} if swiglu
                   else {'mlp.fc1': (HIDDEN, WIDTH), 'mlp.fc2': (WIDTH, HIDDEN)})
        }.items():
            shapes[f'blocks.{block}.{name}.weight'] = shape
            shapes[f'blocks.{block}.{name}.bias'] = shape[:1]
        for scale in ('ls1', 'ls2'):
            shapes[f'blocks.{block}.{scale}.gamma'] = (WIDTH, )
    found = {name: torch.randn(shape, generator=generator)
             for name, shape in shapes.items()}
    for name, value in found.items():
        if name.endswith('attn.qkv.bias'):
            value[WIDTH:2 * WIDTH] = 0
    return found


# ------------------------------------------------- each writer's names, written by hand
def renamed(state: dict[str, Tensor], *names: tuple[str, str]) -> dict[str, Tensor]:
    for old, new in names:
        state = {re.sub(old, new, name): value for name, value in state.items()}
    return state


def apart(state: dict[str, Tensor], joined: str, *parts: str) -> dict[str, Tensor]:
    """Matrices and biases that are one in ``state``, each for itself."""
    found = {}
    for name, value in state.items():
        if joined in name:
            found.update({name.replace(joined, part): one.clone()
                          for part, one in zip(parts, value.chunk(len(parts)))})
        else:
            found[name] = value
    return found


def official(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The authors'. What stands in the bias of keys is nothing."""
    mask = torch.ones(3 * WIDTH)
    mask[WIDTH:2 * WIDTH] = 0
    for name in [name for name in state if name.endswith('attn.qkv.bias')]:
        state = {**state, name: state[name] + 7 * (1 - mask),
                 f'{name}_mask': mask.clone()}
    return {**renamed(apart(state, 'mlp.w12', 'mlp.w1', 'mlp.w2'),
                      ('^register_tokens', 'storage_tokens')),
            'mask_token': torch.ones(1, WIDTH),
            'rope_embed.periods': 100**(torch.arange(4) / 4).bfloat16(),
            'local_cls_norm.weight': torch.ones(WIDTH)}


def hugging_face(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of transformers 4.56 and later, in files."""
    state = apart(apart(state, 'mlp.w12', 'mlp.gate_proj', 'mlp.up_proj'), 'attn.qkv',
                  'attention.q_proj', 'attention.k_proj', 'attention.v_proj')
    state = {name: value for name, value in state.items() if 'k_proj.bias' not in name}
    return {**renamed(
        state, ('^(cls_token|register_tokens)', r'embeddings.\1'),
        (r'^patch_embed\.proj', 'embeddings.patch_embeddings'), ('^blocks', 'layer'),
        (r'attn\.proj', 'attention.o_proj'), (r'mlp\.fc1', 'mlp.up_proj'),
        (r'mlp\.(fc2|w3)', 'mlp.down_proj'), (r'ls(.)\.gamma', r'layer_scale\1.lambda1')
    ), 'embeddings.mask_token': torch.ones(1, 1, WIDTH)}


def hugging_face_in_memory(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of transformers 5."""
    return renamed(hugging_face(state), (r'^layer\.', 'model.layer.'))


def hugging_face_older(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of conversions that were made before."""
    return renamed(
        hugging_face(state), (r'\.q_proj', '.query'), (r'\.k_proj', '.key'),
        (r'\.v_proj', '.value'), (r'attention\.o_proj', 'attention.output.dense'))


def timm_qkvb(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """timm's, with the biases of attention."""
    return renamed(
        apart(apart(state, 'mlp.w12', 'mlp.fc1_g', 'mlp.fc1_x'), 'attn.qkv.bias',
              'attn.q_bias', 'attn.k_bias', 'attn.v_bias'),
        ('^register_tokens', 'reg_token'), (r'mlp\.w3', 'mlp.fc2'),
        (r'ls(.)\.gamma', r'gamma_\1'))


WRITERS = (
    official, hugging_face, hugging_face_in_memory, hugging_face_older, timm_qkvb)


@pytest.mark.parametrize('swiglu', (False, True))
@pytest.mark.parametrize('write', WRITERS)
def test_names(write: Callable, swiglu: bool, tmp_path: Path) -> None:
    """Every tensor comes to its place."""
    expected = weights(swiglu)
    torch.save(write(expected), tmp_path / 'file.pth')
    model = build(tmp_path / 'file.pth', swiglu)
    found = dict(model.named_parameters())
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


@pytest.mark.parametrize('swiglu', (False, True))
def test_the_names_are_those_of_transformers(swiglu: bool, tmp_path: Path) -> None:
    transformers = pytest.importorskip('transformers')
    model = transformers.DINOv3ViTModel(transformers.DINOv3ViTConfig(
        hidden_size=WIDTH, num_hidden_layers=DEPTH, num_attention_heads=HEADS,
        intermediate_size=HIDDEN, use_gated_mlp=swiglu, num_register_tokens=4))
    assert model.state_dict().keys() == hugging_face_in_memory(weights(swiglu)).keys()
    model.save_pretrained(tmp_path)
    model = build(tmp_path / 'model.safetensors', swiglu)
    assert not model.cls_token.isnan().any()


@pytest.mark.parametrize('swiglu', (False, True))
def test_the_names_are_those_of_timm(swiglu: bool) -> None:
    timm = pytest.importorskip('timm')
    with torch.device('meta'):
        model = timm.create_model(
            f'vit_small_{"plus_" * swiglu}patch16_dinov3_qkvb', depth=DEPTH)
    buffers = {name for name, _ in model.named_buffers()}
    assert model.state_dict().keys() - buffers == (
        timm_qkvb(weights(swiglu)).keys() - buffers)


# ------------------------------------------------- formats and places
@pytest.mark.parametrize('suffix', ('.pth', '.safetensors'))
@pytest.mark.parametrize('write', (official, hugging_face, timm_qkvb))
def test_places(write: Callable, suffix: str, tmp_path: Path,
                monkeypatch: pytest.MonkeyPatch) -> None:
    """A path, one in the home folder, file://, http://, hf:// and a hub's name."""
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.delenv('HF_TOKEN', raising=False)
    path = tmp_path / f'a file{suffix}'
    (torch.save if suffix == '.pth' else save_file)(write(weights(False)), path)
    with serve(body(path.read_bytes())) as url:
        monkeypatch.setenv('HF_ENDPOINT', url)
        places = [path, f'~/{path.name}', path.as_uri(), f'{url}/b{suffix}',
                  f'hf://a/b/c{suffix}']
        if suffix == '.safetensors':
            places.append('dinov3_vits16')
        for place in places:
            model = build(place, False)
            assert torch.equal(model.cls_token, weights(False)['cls_token']), place


def test_a_gated_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Says what to accept, and how to name the file."""
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))
    monkeypatch.delenv('HF_TOKEN', raising=False)
    with serve(lambda handler: handler.send_error(401)) as url:
        monkeypatch.setenv('HF_ENDPOINT', url)
        with pytest.raises(OSError, match=(
                f'look at {url}/facebook/dinov3-vitb16-pretrain-lvd1689m, accept its '
                'terms.*HF_TOKEN.*model.backbone.init_cfg.checkpoint')):
            build('dinov3_vitb16', False)


def test_an_address_that_has_expired(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))
    with serve(lambda handler: handler.send_error(403)) as url, pytest.raises(
            OSError, match='Forbidden.*has expired: get a new one.*name a local file '
            'in model.backbone.init_cfg.checkpoint'):
        build(f'{url}/dinov3_vits16.pth?Policy=x', False)


@pytest.mark.parametrize('place', (
    'file://host/a.pth', 'file://a.pth', 'file:///a.pth#sha256=0', 'file:///a.pth?x'))
def test_no_local_file(place: str) -> None:
    with pytest.raises(ValueError, match='of an unknown scheme: .* file:///'):
        build(place, False)
