"""What is said of a file that does not fit: what it is, and what takes it."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn

from mmwsfs.models.backbones.vit_description import check_vit, describe
from mmwsfs.models.backbones.vit_names import official_names
from mmwsfs.models.segmentors.published_backbone import leave_out_backbone
from mmwsfs.registry import MODELS

Weights = dict[str, Tensor]


def build(**settings: object) -> nn.Module:
    """Without memory."""
    with torch.device('meta'):
        return MODELS.build(settings)


def dino(arch: str, patch: int, **more: object) -> dict:
    return dict(type='DINOVisionTransformer', arch=arch, patch_size=patch, **more)


def dinov2(arch: str, **more: object) -> dict:
    return dino(arch, 14, img_size=518, layer_scale_init_value=1., **more)


def dinov3(arch: str) -> dict:
    return dict(type='DINOv3VisionTransformer', arch=arch)


GIANT = dict(layer_cfgs=dict(ffn_type='swiglu_fused'))
ZOO = {
    "a ViT-S/8, as DINO's": dino('deit-small', 8),
    "a ViT-B/16, as DINO's": dino('deit-base', 16),
    "a ViT-S/14, as DINOv2's": dinov2('deit-small'),
    "a ViT-B/14 with 4 registers, as DINOv2's": dinov2('deit-base', num_registers=4),
    "a ViT-L/14, as DINOv2's": dinov2('large'),
    "a ViT-g/14 with 4 registers, as DINOv2's": dinov2(
        'dinov2-giant', num_registers=4, **GIANT),
    **{f"a ViT-{size}/16 with 4 registers, as DINOv3's": dinov3(arch)
       for size, arch in (('S', 'small'), ('S+', 'small+'), ('B', 'base'),
                          ('L', 'large'), ('H+', 'huge+'))},
}


@pytest.mark.parametrize('words', ZOO)
def test_settings_build_what_the_file_is_of(words: str) -> None:
    """The names and shapes of the module that they make are those of the weights."""
    weights = build(**ZOO[words]).state_dict()
    found = describe(official_names(weights))
    assert found is not None and found.words == words and not found.partial
    built = build(**{name: eval(value) for name, value in found.settings.items()})
    assert {name: value.shape for name, value in built.state_dict().items()} == {
        name: value.shape for name, value in weights.items()}


S8, S14, S3 = dino('deit-small', 8), dinov2('deit-small'), dinov3('small')


def without(weights: Weights, *beginnings: str) -> Weights:
    return {name: value for name, value in weights.items()
            if not name.startswith(beginnings)}


def said(weights: Weights, settings: dict) -> str:
    with pytest.raises(ValueError, match="checkpoint 'x.pth' does not fit") as error:
        check_vit(weights, build(**settings).state_dict(), 'x.pth')
    assert '\n' not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(('file', 'settings', 'expected'), (
    (dict(S14, num_registers=4), S14,
     "holds a ViT-S/14 with 4 registers, as DINOv2's: set "
     'model.backbone=dict(num_registers=4)'),
    (S14, dict(S14, num_registers=4), 'set model.backbone=dict(num_registers=0)'),
    (dict(S8, patch_size=16), S8, 'set model.backbone=dict(patch_size=16)'),
    (S14, dict(S14, img_size=224), 'set model.backbone=dict(img_size=518)'),
    (dinov2('deit-base'), S8,
     "holds a ViT-B/14, as DINOv2's: set model.backbone=dict(arch='deit-base', "
     'patch_size=14, img_size=518, layer_scale_init_value=1.)'),
    (dinov2('dinov2-giant', **GIANT), S14,
     "set model.backbone=dict(arch='dinov2-giant', "
     "layer_cfgs=dict(ffn_type='swiglu_fused'))"),
    (dinov3('small+'), S3, "set model.backbone=dict(arch='small+')"),
    (dinov3('base'), S14,
     "holds a ViT-B/16 with 4 registers, as DINOv3's: set model.backbone=dict("
     "_delete_=True, type='DINOv3VisionTransformer', arch='base', patch_size=16, "
     'init_cfg=...)'),
    (dict(S14, num_registers=4), S3,
     "set model.backbone=dict(_delete_=True, type='DINOVisionTransformer', "
     "arch='deit-small', patch_size=14, img_size=518, num_registers=4, "
     'layer_scale_init_value=1., init_cfg=...)'),
    (dict(S8, arch=dict(embed_dims=192, num_layers=12, num_heads=3,
                        feedforward_channels=768)), S8,
     "holds a ViT of width 192, 12 blocks, patches of 8 pixels, as DINO's: set "
     'model.backbone=dict(arch=dict(embed_dims=192, num_layers=12, ...))'),
    (dict(S8, arch=dict(embed_dims=384, num_layers=13, num_heads=6,
                        feedforward_channels=1536)), S8,
     "holds a ViT of width 384, 13 blocks, patches of 8 pixels, as DINO's: set "
     'model.backbone=dict(arch=dict(embed_dims=384, num_layers=13, ...))'),
))
def test_another_vit(file: dict, settings: dict, expected: str) -> None:
    """Nothing is asked to be set but what differs."""
    assert said(build(**file).state_dict(), settings).endswith(expected)


@pytest.mark.parametrize('settings', (S8, S14, S3), ids=('dino', 'dinov2', 'dinov3'))
def test_a_vit_that_is_not_whole(settings: dict) -> None:
    """The settings are right: it is not said to change them."""
    name = 'layers' if settings != S3 else 'blocks'
    own = build(**settings).state_dict()
    late = without(own, *(f'{name}.{block}.' for block in range(6)))
    assert re.search(
        r'holds 6 blocks \(6 to 11\) of a ViT-S/.*: get the whole one$',
        said(late, settings))
    early = without(own, *(f'{name}.{block}.' for block in range(6, 12)))
    assert 'holds 6 blocks (0 to 5) of a ViT-S' in said(early, settings)
    one = without(own, 'cls_token')
    assert 'no ViT with a CLS token' in said(one, settings)
    norm = without(own, 'ln1.bias', 'norm.bias')
    assert said(norm, settings).endswith(
        'as the config says, but parts are missing or added: get it again from its '
        'authors')


@pytest.mark.parametrize('settings', (S14, S3))
@pytest.mark.parametrize(('names', 'expected'), (
    (['conv1.weight', 'bn1.bias', 'layer1.0.conv1.weight'], 'holds a ResNet'),
    (['stages.0.0.gamma', 'stages.0.0.norm.weight'],
     'its first names are stages.0.0.gamma, stages.0.0.norm.weight'),
    ([f'a{number}' for number in range(9)], 'its first names are a0, a1, a2, a3, a4'),
    (['patch_embed.proj.weight', 'layers.0.blocks.0.norm1.weight'],  # Swin
     'its first names are patch_embed.proj'),
    ([], 'its first names are none'),
))
def test_no_vit(names: list[str], expected: str, settings: dict) -> None:
    message = said({name: torch.ones(1, 1) for name in names}, settings)
    assert expected in message


def test_a_whole_model_without_its_backbone() -> None:
    weights = leave_out_backbone({'backbone.a': torch.ones(1), 'neck.b': torch.ones(1)})
    assert said(weights, S14).endswith(
        "give it as the model's checkpoint, and here the backbone's own file")


def test_one_that_fits() -> None:
    model = MODELS.build(dict(S3, arch=dict(
        embed_dims=32, num_layers=1, num_heads=2, feedforward_channels=64,
        swiglu=False)))
    check_vit(model.state_dict(), model.state_dict(), 'x.pth')
    broken = {**model.state_dict(), 'cls_token': torch.full((1, 1, 32), torch.nan)}
    with pytest.raises(ValueError, match=r'NaN or infinite \(cls_token'):
        check_vit(broken, model.state_dict(), 'x.pth')


@pytest.mark.parametrize('shape', ((), (3, ), (1, 2, 3), (1, 1, 1, 1)))
def test_strange_shapes(shape: tuple[int, ...]) -> None:
    """Whatever they are, one sentence."""
    own = build(**S14).state_dict()
    said({name: torch.ones(shape) for name in own}, S14)
    for name in ('pos_embed', 'cls_token', 'patch_embed.projection.weight'):
        said({**own, name: torch.ones(shape)}, S14)
