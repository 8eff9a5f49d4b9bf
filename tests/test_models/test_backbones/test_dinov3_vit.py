"""DINOv3's ViT: equal to timm's and to transformers', written by others, on random
weights; its files under everybody's names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from dinov3_reference import (
    SIZES,
    Outputs,
    Size,
    loaded_timm,
    official,
    randomised,
    timm_network,
    timm_outputs,
    transformers_network,
    transformers_outputs,
    weights_of,
)
from torch import Tensor
from transformers.models.dinov3_vit import modeling_dinov3_vit

from mmwsfs.models import DINOv3VisionTransformer
from mmwsfs.models.backbones.dinov3_vit import ARCHS
from mmwsfs.models.backbones.vit_names import official_names
from mmwsfs.registry import MODELS

SHAPE = (2, 3, 48, 80)  # not square: an axis that is taken for the other shows
CASES = [(name, 2) for name in SIZES] + [('small', SIZES['small'].depth)]


def settings(size: Size, depth: int) -> dict:
    return dict(embed_dims=size.width, num_layers=depth, num_heads=size.heads,
                feedforward_channels=size.hidden, swiglu=size.swiglu)


def ours(state: dict[str, Tensor], arch: str | dict, folder: Path, **extra: object
         ) -> DINOv3VisionTransformer:
    torch.save(state, folder / 'weights.pth')
    model = MODELS.build(dict(
        type='DINOv3VisionTransformer', arch=arch, **extra,
        init_cfg=dict(type='Pretrained', checkpoint=str(folder / 'weights.pth'))))
    model.init_weights()
    (folder / 'weights.pth').unlink()
    return model


def assert_equal(model: DINOv3VisionTransformer, images: Tensor, expected: Outputs
                 ) -> None:
    """All that the few-shot model takes, to 1e-4 of the size of the values."""
    features = model.extract(images)
    assert features.grid == (3, 5)
    for name in Outputs._fields:
        one, other = getattr(features, name), getattr(expected, name)
        assert one.shape == other.shape
        assert (one - other).abs().max() <= 1e-4 * other.abs().max(), name
    maps, = model(images)
    torch.testing.assert_close(
        maps.flatten(2).transpose(1, 2), features.tokens[:, -1, 1:])


@pytest.mark.parametrize('name, depth', CASES)
def test_official_file_equals_timm(name: str, depth: int, tmp_path: Path) -> None:
    """timm reads the same file by a reader of its own; the periods of the rotation are
    the file's, rounded to bfloat16. Two blocks of every size, one network whole."""
    size = SIZES[name]
    weights = weights_of(official(size, depth))
    model = ours(weights, settings(size, depth), tmp_path)
    reference = loaded_timm(weights, size, depth)
    images = torch.randn(SHAPE)
    assert_equal(model, images, timm_outputs(reference, images))
    # What timm would save of it is the same again, under its names.
    renamed = official_names(reference.state_dict())
    state = model.state_dict()
    assert all(torch.equal(state[key], value) for key, value in renamed.items())
    assert state.keys() - renamed.keys() == {'rope_embed.periods'}


@pytest.mark.parametrize('name, depth', CASES)
def test_file_of_transformers_equals_it(name: str, depth: int, tmp_path: Path) -> None:
    size = SIZES[name]
    reference = randomised(transformers_network(size, depth))
    model = ours(reference.state_dict(), settings(size, depth), tmp_path)
    images = torch.randn(SHAPE)
    assert_equal(model, images, transformers_outputs(reference, images))


def test_file_without_biases_of_attention(tmp_path: Path) -> None:
    """As timm keeps the releases whose biases are all 0."""
    size = SIZES['small']
    reference = randomised(timm_network(size, 2, biases=False))
    model = ours(reference.state_dict(), settings(size, 2), tmp_path)
    images = torch.randn(SHAPE)
    assert_equal(model, images, timm_outputs(reference, images))


def test_rotated_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are what the last attention of transformers' network is given."""
    size = SIZES['small']
    reference = randomised(transformers_network(size, 2))
    model = ours(reference.state_dict(), settings(size, 2), tmp_path, rotated_keys=True)
    attend, given = modeling_dinov3_vit.eager_attention_forward, []

    def spy(module, query, key, *args, **kwargs):
        given.append(key)
        return attend(module, query, key, *args, **kwargs)

    monkeypatch.setattr(modeling_dinov3_vit, 'eager_attention_forward', spy)
    images = torch.randn(SHAPE)
    with torch.no_grad():
        reference(images)
    keys = model.extract(images).keys
    torch.testing.assert_close(keys, given[-1][:, :, 5:], rtol=1e-4, atol=1e-4)


def test_one_image_at_a_time_or_all(tmp_path: Path) -> None:
    """A frozen one takes images one by one, one that trains all, with a gradient."""
    size = SIZES['small+']
    weights = weights_of(official(size, 2))
    frozen = ours(weights, settings(size, 2), tmp_path)
    trained = ours(weights, settings(size, 2), tmp_path, frozen=False)
    images = torch.randn(SHAPE)
    one, other = frozen.extract(images), trained.extract(images)
    torch.testing.assert_close(one.tokens, other.tokens, rtol=0, atol=1e-4)
    assert not one.tokens.requires_grad
    other.tokens[:, -1].sum().backward()
    assert trained.blocks[0].attn.qkv.weight.grad.abs().sum() > 0


# ------------------------------------------------- whole files, without memory
def shapes(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items()}


@pytest.mark.parametrize('satellite', (False, True))
@pytest.mark.parametrize('name', SIZES)
def test_whole_official_file(name: str, satellite: bool) -> None:
    """All names and shapes are our network's at its full size."""
    size = SIZES[name]
    in_file = {  # biases are masked, by values
        key: torch.ones(shape, device='cpu' if 'qkv.bias' in key else 'meta')
        for key, shape in official(size, size.depth, satellite).items()}
    with torch.device('meta'):
        network = DINOv3VisionTransformer(arch=name)
    assert shapes(official_names(in_file)) == shapes(network.state_dict())
    assert network.num_heads == size.heads and network.num_layers == size.depth
    assert network.patch_size == 16 and set(ARCHS) == set(SIZES)


@pytest.mark.parametrize('name', SIZES)
def test_whole_files_of_timm_and_transformers(name: str) -> None:
    """They lack what follows from the sizes; timm's also tell how many parameters
    there are."""
    size = SIZES[name]
    with torch.device('meta'):
        network = DINOv3VisionTransformer(arch=name)
        references = (timm_network(size, size.depth),
                      transformers_network(size, size.depth))
    expected = shapes(network.state_dict())
    expected.pop('rope_embed.periods')
    for reference in references:
        assert shapes(official_names(reference.state_dict())) == expected
    count, counts = (
        sum(value.numel() for value in model.parameters())
        for model in (network, references[0]))
    assert count == counts + size.depth * size.width  # the biases of keys, all 0


@pytest.mark.parametrize('arch, told', (
    ('giant', "unknown arch 'giant': choose one of small, small\\+, base, large, huge"),
    (dict(embed_dims=32), 'arch has the keys embed_dims: give embed_dims, num_layers,'),
))
def test_unknown_arch(arch: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        DINOv3VisionTransformer(arch=arch)
