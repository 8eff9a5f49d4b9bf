"""DINOVisionTransformer against timm's ViT, which shares no code with mmpretrain's."""

import math

import numpy as np
import pytest
import torch
from mmengine.model import BaseModule
from PIL import Image
from timm.layers import SwiGLUPacked
from timm.models.vision_transformer import VisionTransformer as TimmViT
from vit_reference import load_timm, official, tensors, timm_features

from mmwsfs.models.backbones import DINOVisionTransformer
from mmwsfs.models.backbones.dino_vit import IMAGES_AT_ONCE

PATCH, NATIVE, WIDTH, HEADS, DEPTH = 8, 40, 48, 3, 3
SWIGLU_HIDDEN = 128  # (int(4 * WIDTH * 2 / 3) + 7) // 8 * 8
ARCH = dict(
    embed_dims=WIDTH, num_layers=DEPTH, num_heads=HEADS,
    feedforward_channels=4 * WIDTH)


def tiny(**kwargs):
    """The package's backbone of the tests' size."""
    return DINOVisionTransformer(
        **{**dict(arch=ARCH, img_size=NATIVE, patch_size=PATCH), **kwargs})


# The released families: a made file's options, our settings, timm's settings.
FAMILIES = dict(
    dino=(dict(), dict(), dict()),
    dinov2=(
        dict(layer_scale=True),
        dict(layer_scale_init_value=1.0),
        dict(init_values=1.0)),
    registers=(
        dict(layer_scale=True, registers=4),
        dict(layer_scale_init_value=1.0, num_registers=4),
        dict(init_values=1.0, reg_tokens=4, no_embed_class=True)),
    swiglu=(
        dict(layer_scale=True, swiglu=True),
        dict(layer_scale_init_value=1.0, layer_cfgs=dict(ffn_type='swiglu_fused')),
        dict(init_values=1.0, mlp_layer=SwiGLUPacked, act_layer=torch.nn.SiLU,
             mlp_ratio=2 * SWIGLU_HIDDEN / WIDTH)),
)


def made_weights(family='dino'):
    """A released file's content, all of it random."""
    return tensors(official(
        WIDTH, 4 * WIDTH, DEPTH, PATCH, (NATIVE // PATCH)**2, **FAMILIES[family][0]))


def timm_model(weights, size, family='dino'):
    """timm's ViT for images of ``size``, its position embeddings of the same size."""
    return load_timm(
        TimmViT(
            img_size=size, patch_size=PATCH, embed_dim=WIDTH, depth=DEPTH,
            num_heads=HEADS, num_classes=0, **FAMILIES[family][2]),
        weights)


def cubic(x):
    """Keys' cubic convolution kernel, a = -0.75 (torch's 'bicubic')."""
    a, x = -0.75, abs(x)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    if x < 2:
        return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return 0.0


def bicubic_matrix(size_in, size_out, scale):
    """Rows of weights: output i reads the input at (i + 0.5) / scale - 0.5."""
    matrix = np.zeros((size_out, size_in))
    for row in range(size_out):
        position = (row + 0.5) / scale - 0.5
        for tap in range(math.floor(position) - 1, math.floor(position) + 3):
            column = min(max(tap, 0), size_in - 1)
            matrix[row, column] += cubic(position - tap)
    return matrix


def dino_position_embedding(pos_embed, grid):
    """Section 2: bicubic by the scale factor (h + 0.1) / sqrt(N), written out."""
    patches = pos_embed[0, 1:].detach().double().numpy()
    side = round(math.sqrt(len(patches)))
    rows, columns = (
        bicubic_matrix(side, cells, (cells + 0.1) / side) for cells in grid)
    resized = np.einsum(
        'ia,jb,abc->ijc', rows, columns, patches.reshape(side, side, -1))
    resized = torch.from_numpy(resized.reshape(1, grid[0] * grid[1], -1)).float()
    return torch.cat([pos_embed[:, :1], resized], dim=1)


def register_position_embedding(pos_embed, grid):
    """As for the models with registers: bicubic to the grid, antialiased, by Pillow."""
    side = round(math.sqrt(pos_embed.shape[1] - 1))
    planes = pos_embed[0, 1:].unflatten(0, (side, side)).unbind(-1)
    resized = np.stack([
        Image.fromarray(plane.numpy()).resize(grid[::-1], Image.Resampling.BICUBIC)
        for plane in planes], axis=-1)
    resized = torch.from_numpy(resized).flatten(0, 1).unsqueeze(0)
    return torch.cat([pos_embed[:, :1], resized], dim=1)


def load(tmp_path, state_dict, **kwargs):
    """The package's backbone with ``state_dict``, read from a file."""
    path = tmp_path / 'weights.pth'
    torch.save(state_dict, path)
    model = tiny(init_cfg=dict(type='Pretrained', checkpoint=str(path)), **kwargs)
    model.init_weights()
    return model


@pytest.mark.parametrize('family', FAMILIES)
@pytest.mark.parametrize(
    'size', [(40, 40), (64, 64), (56, 32), (24, 72)], ids=lambda size: f'{size}')
@torch.no_grad()
def test_features_equal_timm(tmp_path, size, family):
    """Tokens of all blocks, CLS's last query, patches' last keys; any size."""
    weights = made_weights(family)
    model = load(tmp_path, weights, **FAMILIES[family][1])
    grid = (size[0] // PATCH, size[1] // PATCH)
    if size != (NATIVE, NATIVE):
        interpolate = (register_position_embedding if family == 'registers'
                       else dino_position_embedding)
        weights['pos_embed'] = interpolate(weights['pos_embed'], grid)
    reference = timm_model(weights, size, family)
    images = torch.randn(2, 3, *size)

    features = model.extract(images)
    tokens, queries, keys = timm_features(reference, images)

    assert features.grid == grid
    assert features.tokens.shape == (2, DEPTH, 1 + grid[0] * grid[1], WIDTH)
    for index, expected in enumerate(tokens):
        torch.testing.assert_close(
            features.tokens[:, index], expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(
        features.cls_query, queries[:, :, 0], rtol=0, atol=1e-4)
    torch.testing.assert_close(
        features.keys, keys[:, :, 1:], rtol=0, atol=1e-4)


def test_ways_to_interpolate_differ():
    """By the scale factor, to the size, and antialiased are three things."""
    pos_embed = made_weights()['pos_embed']
    side = NATIVE // PATCH
    for grid in ((8, 8), (3, 4)):
        by_size = torch.nn.functional.interpolate(
            pos_embed[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2), grid,
            mode='bicubic').flatten(2).transpose(1, 2)
        by_scale = dino_position_embedding(pos_embed, grid)[:, 1:]
        antialiased = register_position_embedding(pos_embed, grid)[:, 1:]
        assert (by_scale - by_size).abs().max() > 1e-2
        assert (antialiased - by_size).abs().max() > 1e-2
        assert (antialiased - by_scale).abs().max() > 1e-2


@pytest.mark.parametrize('family', FAMILIES)
@torch.no_grad()
def test_forward_gives_maps(tmp_path, family):
    """As a plain backbone: (B, C, h, w) maps of the wanted blocks, patches only."""
    weights = made_weights(family)
    model = load(
        tmp_path, weights, img_size=NATIVE, out_indices=(0, -1), **FAMILIES[family][1])
    interpolate = (register_position_embedding if family == 'registers'
                   else dino_position_embedding)
    weights['pos_embed'] = interpolate(weights['pos_embed'], (3, 7))
    reference = timm_model(weights, (24, 56), family)
    images = torch.randn(2, 3, 24, 56)

    maps = model(images)

    tokens, _, _ = timm_features(reference, images)
    assert len(maps) == 2
    for found, expected in zip(maps, (tokens[0], tokens[-1])):
        assert found.shape == (2, WIDTH, 3, 7)
        for row in range(3):
            for column in range(7):
                torch.testing.assert_close(
                    found[:, :, row, column], expected[:, 1 + row * 7 + column],
                    rtol=0, atol=1e-4)


def test_forward_default_is_the_last_block():
    """A config without out_indices gets one map."""
    model = tiny()
    assert [tuple(x.shape) for x in model(torch.randn(1, 3, 40, 40))] == [
        (1, WIDTH, 5, 5)]


def test_frozen_has_no_gradient_and_stays_in_eval_mode():
    """Neither train() nor a parent's train() may wake a frozen backbone."""

    class Parent(BaseModule):

        def __init__(self):
            super().__init__()
            self.backbone = tiny(drop_rate=0.5)
            self.head = torch.nn.Dropout()

    parent = Parent()
    parent.backbone.init_weights()
    parent.train()
    assert parent.head.training
    parent.backbone.train()
    assert not any(module.training for module in parent.backbone.modules())
    assert not any(p.requires_grad for p in parent.backbone.parameters())
    images = torch.randn(1, 3, 40, 40, requires_grad=True)
    features = parent.backbone.extract(images)
    assert not features.tokens.requires_grad
    assert not features.cls_query.requires_grad
    assert not features.keys.requires_grad
    assert not parent.backbone(images)[0].requires_grad
    # With dropout awake the two passes would differ.
    assert torch.equal(features.tokens, parent.backbone.extract(images).tokens)


def test_not_frozen_trains():
    """frozen=False: gradients reach the first layer by both calls, and modes change."""
    model = tiny(frozen=False)
    model.train()
    assert all(module.training for module in model.modules())
    images = torch.randn(1, 3, 40, 40)
    for output in (model.extract(images).tokens, model(images)[0]):
        model.zero_grad()
        output.square().sum().backward()
        assert model.patch_embed.projection.weight.grad.abs().sum() > 0
    model.eval()
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize('size', [(4, 4), (4, 40), (40, 44), (41, 40)])
@pytest.mark.parametrize('call', ['extract', 'forward'])
def test_image_size_must_fit_the_patches(size, call):
    """The message names the image's size and the patch size."""
    with pytest.raises(ValueError, match=rf'{size[0]}x{size[1]}.*8x8.*multiple of 8'):
        getattr(tiny(), call)(torch.randn(1, 3, *size))


@pytest.mark.parametrize('images_at_once', [1, 2, 16])
def test_images_taken_in_parts(monkeypatch, images_at_once):
    """A frozen backbone gives each image its own features, however many at once."""
    monkeypatch.setitem(IMAGES_AT_ONCE, 'cpu', images_at_once)
    backbone = tiny().eval()
    images = torch.randn(3, 3, 32, 48)
    found = backbone.extract(images)
    for index in range(3):
        alone = backbone.extract(images[index:index + 1])
        for name in ('tokens', 'cls_query', 'keys'):
            torch.testing.assert_close(
                getattr(found, name)[index:index + 1], getattr(alone, name))


def test_extract_leaves_no_hook_behind():
    """The hook on the last qkv is removed, also where the pass fails."""
    model = tiny()
    model.extract(torch.randn(1, 3, 40, 40))
    with pytest.raises(RuntimeError):
        model.extract(torch.randn(1, 5, 40, 40))
    assert not model.layers[-1].attn.qkv._forward_hooks


def test_position_embedding_is_random_without_checkpoint():
    """Without a file the initialisation is mmpretrain's, not all zeros."""
    model = tiny()
    model.init_weights()
    assert model.pos_embed.std() > 0.01
