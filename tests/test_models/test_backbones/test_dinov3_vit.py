"""DINOv3's ViT: equal to timm's and to transformers', written by others, on random
weights; its files under everybody's names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mmwsfs.models import DINOv3VisionTransformer
from mmwsfs.models.backbones.dinov3_vit import ARCHS
from mmwsfs.registry import MODELS

timm = pytest.importorskip('timm')

DEPTH = 2
TIMM = {
    'small': 'vit_small_patch16_dinov3', 'small+': 'vit_small_plus_patch16_dinov3',
    'base': 'vit_base_patch16_dinov3', 'large': 'vit_large_patch16_dinov3',
    'huge+': 'vit_huge_plus_patch16_dinov3'}
SIZE = (48, 80)  # not square: an axis that is taken for the other shows


def settings(arch: str, depth: int = DEPTH) -> dict:
    width, _, heads, hidden, swiglu = ARCHS[arch]
    return dict(embed_dims=width, num_layers=depth, num_heads=heads,
                feedforward_channels=hidden, swiglu=swiglu)


def randomise(module: nn.Module) -> None:
    """Weights of a size at which every part shows in the result."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in module.named_parameters():
            if 'weight' in name and value.ndim > 1:
                value.normal_(std=0.5 / value.shape[-1]**0.5, generator=generator)
            else:
                value.normal_(mean='norm' in name and 'weight' in name, std=0.3,
                              generator=generator)


def of_timm(arch: str, biases: bool, depth: int = DEPTH) -> nn.Module:
    model = timm.create_model(
        TIMM[arch] + '_qkvb' * biases, depth=depth, dynamic_img_size=True)
    randomise(model)
    return model.eval()


def of_transformers(arch: str, depth: int = DEPTH) -> nn.Module:
    transformers = pytest.importorskip('transformers')
    width, _, heads, hidden, swiglu = ARCHS[arch]
    model = transformers.DINOv3ViTModel(transformers.DINOv3ViTConfig(
        hidden_size=width, num_hidden_layers=depth, num_attention_heads=heads,
        intermediate_size=hidden, use_gated_mlp=swiglu, num_register_tokens=4,
        hidden_act='silu' if swiglu else 'gelu'))
    randomise(model)
    return model.eval()


def ours(state: dict[str, Tensor], arch: str | dict, folder: Path
         ) -> DINOv3VisionTransformer:
    torch.save(state, folder / 'weights.pth')
    model = MODELS.build(dict(
        type='DINOv3VisionTransformer', arch=arch,
        init_cfg=dict(type='Pretrained', checkpoint=str(folder / 'weights.pth'))))
    model.init_weights()
    return model


def close(one: Tensor, other: Tensor) -> bool:
    """To 1e-4 of the size of the values."""
    return bool((one - other).abs().max() <= 1e-4 * other.abs().max())


@pytest.mark.parametrize('biases', (False, True))
@pytest.mark.parametrize('arch', ARCHS)
def test_tokens_are_those_of_timm(arch: str, biases: bool, tmp_path: Path) -> None:
    reference = of_timm(arch, biases)
    model = ours(reference.state_dict(), settings(arch), tmp_path)
    images = torch.randn(2, 3, *SIZE)
    with torch.no_grad():
        expected = reference.forward_features(images)
    tokens = model.extract(images).tokens[:, -1]
    assert close(tokens, torch.cat([expected[:, :1], expected[:, 5:]], dim=1))


@pytest.mark.parametrize('arch', ARCHS)
def test_tokens_are_those_of_transformers(arch: str, tmp_path: Path) -> None:
    reference = of_transformers(arch)
    model = ours(reference.state_dict(), settings(arch), tmp_path)
    images = torch.randn(2, 3, *SIZE)
    with torch.no_grad():
        expected = reference(images).last_hidden_state
    tokens = model.extract(images).tokens[:, -1]
    assert close(tokens, torch.cat([expected[:, :1], expected[:, 5:]], dim=1))
