"""Everybody's files of a ViT: the names in them are all that tells them apart.

The references are the models of timm and transformers, which write such files.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mmwsfs.models.backbones.dino_checkpoint import read_vit
from mmwsfs.models.backbones.vit_names import find_prefix, official_names
from mmwsfs.registry import MODELS

WIDTH, DEPTH, HEADS, PATCHES = 32, 2, 2, 16
SIZE = (56, 70)
ARCH = dict(embed_dims=WIDTH, num_layers=DEPTH, num_heads=HEADS,
            feedforward_channels=4 * WIDTH)


def randomise(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in module.named_parameters():
            value.normal_(mean='norm' in name and 'weight' in name,
                          std=0.3 / max(1, value.ndim - 1), generator=generator)
    return module.eval()


def timm_vit(**settings: object) -> nn.Module:
    timm = pytest.importorskip('timm')
    return randomise(timm.models.vision_transformer.VisionTransformer(
        img_size=56, patch_size=14, embed_dim=WIDTH, depth=DEPTH, num_heads=HEADS,
        num_classes=0, init_values=1., dynamic_img_size=True, **settings))


def transformers_vit(kind: str, **settings: object) -> nn.Module:
    transformers = pytest.importorskip('transformers')
    return randomise(getattr(transformers, f'{kind}Model')(
        getattr(transformers, f'{kind}Config')(
            image_size=56, patch_size=14, hidden_size=WIDTH, num_hidden_layers=DEPTH,
            num_attention_heads=HEADS, intermediate_size=4 * WIDTH, **settings)))


def files(reference: nn.Module, folder: Path) -> Iterator[Path]:
    """By the names in memory, and by those of transformers' files, which stay as
    they were when the names in memory change."""
    torch.save(reference.state_dict(), folder / 'file.pth')
    yield folder / 'file.pth'
    if hasattr(reference, 'save_pretrained'):
        reference.save_pretrained(folder)
        yield folder / 'model.safetensors'


def ours(path: Path, **settings: object) -> nn.Module:
    model = MODELS.build(dict(
        type='DINOVisionTransformer', arch=ARCH, img_size=56, patch_size=14,
        init_cfg=dict(type='Pretrained', checkpoint=str(path)), **settings))
    model.init_weights()
    return model


SCALED = dict(layer_scale_init_value=1.)
SWIGLU = dict(layer_cfgs=dict(ffn_type='swiglu_fused'))


@pytest.mark.parametrize('make, settings, extra', (
    (lambda: timm_vit(reg_tokens=4, no_embed_class=True),
     dict(num_registers=4, **SCALED), 4),
    (lambda: timm_vit(), SCALED, 0),
    (lambda: transformers_vit('Dinov2'), SCALED, 0),
    (lambda: transformers_vit('Dinov2', use_swiglu_ffn=True), dict(SWIGLU, **SCALED),
     0),
    (lambda: transformers_vit('Dinov2WithRegisters', num_register_tokens=4),
     dict(num_registers=4, **SCALED), 4),
    (lambda: transformers_vit('ViT', layer_norm_eps=1e-6), {}, 0),
), ids=('timm-reg', 'timm', 'dinov2', 'dinov2-swiglu', 'dinov2-reg', 'dino'))
def test_files_of_timm_and_transformers(
        make: Callable[[], nn.Module], settings: dict, extra: int,
        tmp_path: Path) -> None:
    """Tokens of our ViT from such a file are those of the model that wrote it."""
    reference = make()
    images = torch.randn(2, 3, 56, 56)
    with torch.no_grad():
        expected = (reference.forward_features(images)
                    if hasattr(reference, 'forward_features')
                    else reference(images).last_hidden_state)
    expected = torch.cat([expected[:, :1], expected[:, 1 + extra:]], dim=1)
    for path in files(reference, tmp_path):
        tokens = ours(path, **settings).extract(images).tokens[:, -1]
        assert (tokens - expected).abs().max() < 1e-4 * expected.abs().max()


# ------------------------------------------------------------- whole trainings
@pytest.fixture(scope='module', params=('dinov2', 'dinov3'))
def weights(request: pytest.FixtureRequest) -> dict[str, Tensor]:
    """By the authors' names."""
    return official_names(MODELS.build(dict(
        type='mmwsfs.DINOVisionTransformer', arch=ARCH, img_size=56, patch_size=14)
        if request.param == 'dinov2' else dict(
            type='mmwsfs.DINOv3VisionTransformer', arch=dict(ARCH, swiglu=True))
    ).state_dict())


def prefixed(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in weights.items()}


def chunked(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """DINOv2 trains in chunks of blocks: ``blocks.CHUNK.NUMBER``."""
    return {name.replace('blocks.', 'blocks.0.'): value
            for name, value in weights.items()}


def other(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value + 1 for name, value in weights.items()}


HEAD = {'head.mlp.0.weight': torch.ones(2, WIDTH)}


@pytest.mark.parametrize('wrap', (
    lambda w: dict(  # DINO's, of its training script
        student=prefixed({**other(w), **HEAD}, 'module.backbone.'),
        teacher=prefixed(w, 'backbone.'), optimizer=dict(state={}, param_groups=[]),
        epoch=100, args=argparse.Namespace(lr=1e-3)),
    lambda w: dict(student=prefixed(w, 'module.backbone.'), epoch=3),
    lambda w: dict(model={  # DINOv2's
        **prefixed(chunked(other(w)), 'student.backbone.'),
        **prefixed(chunked(w), 'teacher.backbone.'),
        'teacher.dino_head.mlp.0.weight': torch.ones(2, 2)}, iteration=7),
    lambda w: dict(teacher=prefixed(chunked(w), 'backbone.')),
    lambda w: dict(model={  # DINOv3's that is distilled, with a larger one as teacher
        **prefixed(other(w), 'teacher.backbone.'),
        **prefixed(other(w), 'gram_teacher.backbone.'),
        **prefixed(w, 'model_ema.backbone.')}),
    lambda w: dict(state_dict=prefixed(w, 'student.encoder.vit.')),  # Lightning
    lambda w: prefixed(w, 'module.'),
    lambda w: prefixed(w, 'visual.trunk.'),
), ids=('dino', 'student', 'dinov2', 'chunks', 'distilled', 'lightning', 'ddp', 'part'))
def test_whole_trainings(wrap: Callable, weights: dict[str, Tensor],
                         tmp_path: Path) -> None:
    """The teacher's ViT comes out of them, or the only one there is."""
    torch.save(wrap(weights), tmp_path / 'file.pth')
    found = read_vit(str(tmp_path / 'file.pth'))
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], value) for name, value in weights.items())


def test_prefix_of_a_file_that_is_no_vit() -> None:
    assert find_prefix({'conv1.weight': torch.ones(1)}) == ''


# ------------------------------------------------------------- DINOv3's own
def test_bias_mask_is_applied() -> None:
    bias = torch.arange(1., 7.)
    mask = torch.tensor([1., 1, 0, 0, 1, 1])
    state = {'patch_embed.proj.weight': torch.ones(1),
             'blocks.0.attn.qkv.bias': bias, 'blocks.0.attn.qkv.bias_mask': mask,
             'storage_tokens': torch.ones(1, 4, 2), 'mask_token': torch.ones(1, 2),
             'local_cls_norm.weight': torch.ones(2)}
    found = official_names(state)
    assert found['blocks.0.attn.qkv.bias'].tolist() == [1, 2, 0, 0, 5, 6]
    assert found.keys() == {
        'patch_embed.proj.weight', 'blocks.0.attn.qkv.bias', 'register_tokens'}


def test_a_mask_that_was_never_loaded() -> None:
    with pytest.raises(ValueError, match='never loaded or trained'):
        official_names({'blocks.0.attn.qkv.bias': torch.ones(6),
                        'blocks.0.attn.qkv.bias_mask': torch.full((6, ), torch.nan)})


def test_queries_without_keys() -> None:
    with pytest.raises(ValueError, match='a part of a ViT'):
        official_names({'encoder.layer.0.attention.attention.query.weight':
                        torch.ones(2, 2)})


@pytest.mark.parametrize('state', (
    {'layer.0.attention.query.weight': torch.ones(2, 2)},
    {f'layer.0.attention.{part}.weight': torch.ones(2, width)
     for part, width in (('query', 2), ('key', 3), ('value', 2))},
    {'pos_embed': torch.ones(1, 4, 3), 'cls_token': torch.ones(1, 1, 2)},
), ids=('part', 'widths', 'positions'))
def test_the_file_is_named(state: dict[str, Tensor], tmp_path: Path) -> None:
    """Where its tensors do not go together."""
    torch.save(state, tmp_path / 'strange.pth')
    with pytest.raises(ValueError, match=r"strange\.pth': "):
        read_vit(str(tmp_path / 'strange.pth'))
