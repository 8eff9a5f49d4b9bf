"""DINOVisionTransformer against timm's ViT, which shares no code with mmpretrain's."""

import math

import numpy as np
import pytest
import torch
from mmengine.model import BaseModule
from timm.models.vision_transformer import VisionTransformer as TimmViT

from mmwsfs.models.backbones import DINOVisionTransformer

PATCH, NATIVE, WIDTH, HEADS, DEPTH = 8, 40, 48, 3, 3
ARCH = dict(
    embed_dims=WIDTH, num_layers=DEPTH, num_heads=HEADS,
    feedforward_channels=4 * WIDTH)


def tiny(**kwargs):
    """The package's backbone of the tests' size."""
    return DINOVisionTransformer(
        **{**dict(arch=ARCH, img_size=NATIVE, patch_size=PATCH), **kwargs})


def timm_model(size, layer_scale=None):
    """timm's ViT for images of ``size``, every parameter random."""
    model = TimmViT(
        img_size=size, patch_size=PATCH, embed_dim=WIDTH, depth=DEPTH,
        num_heads=HEADS, num_classes=0, init_values=layer_scale).eval()
    randomise(model)
    return model


def randomise(model):
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = 0.2 * torch.randn(parameter.shape, generator=generator)
            one_dimensional = name.endswith(('norm1.weight', 'norm2.weight', 'gamma'))
            parameter.copy_(noise + 1 if one_dimensional else noise)


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


def timm_features(model, images):
    """Normed tokens of every block, and q and k of the last, from timm's blocks."""
    x = model.patch_embed(images)
    x = torch.cat([model.cls_token.expand(len(x), -1, -1), x], dim=1)
    x = x + model.pos_embed
    tokens = []
    for block in model.blocks:
        before = x
        x = block(x)
        tokens.append(model.norm(x))
    last = model.blocks[-1]
    qkv = last.attn.qkv(last.norm1(before))
    head_width = WIDTH // HEADS
    queries, keys = (
        torch.stack([
            qkv[..., start + head * head_width:start + (head + 1) * head_width]
            for head in range(HEADS)], dim=1)
        for start in (0, WIDTH))
    return tokens, queries, keys


def load(tmp_path, state_dict, **kwargs):
    """The package's backbone with ``state_dict``, read from a file."""
    path = tmp_path / 'weights.pth'
    torch.save(state_dict, path)
    model = tiny(init_cfg=dict(type='Pretrained', checkpoint=str(path)), **kwargs)
    model.init_weights()
    return model


@pytest.mark.parametrize('layer_scale', [None, 1.0], ids=['dino', 'dinov2'])
@pytest.mark.parametrize(
    'size', [(40, 40), (64, 64), (56, 32), (24, 72)], ids=lambda size: f'{size}')
@torch.no_grad()
def test_features_equal_timm(tmp_path, size, layer_scale):
    """Tokens of all blocks, last queries and keys; native and other sizes."""
    native = timm_model(NATIVE, layer_scale)
    model = load(
        tmp_path, native.state_dict(), layer_scale_init_value=layer_scale or 0.)
    grid = (size[0] // PATCH, size[1] // PATCH)
    reference = timm_model(size, layer_scale)
    weights = native.state_dict()
    if size != (NATIVE, NATIVE):
        weights['pos_embed'] = dino_position_embedding(native.pos_embed, grid)
    reference.load_state_dict(weights)
    images = torch.randn(2, 3, *size)

    features = model.extract(images)
    tokens, queries, keys = timm_features(reference, images)

    assert features.grid == grid
    assert features.tokens.shape == (2, DEPTH, 1 + grid[0] * grid[1], WIDTH)
    for index, expected in enumerate(tokens):
        torch.testing.assert_close(
            features.tokens[:, index], expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(features.queries, queries, rtol=0, atol=1e-4)
    torch.testing.assert_close(features.keys, keys, rtol=0, atol=1e-4)


@torch.no_grad()
def test_scale_factor_and_output_size_differ():
    """The rule above is another one than interpolating to the output size."""
    pos_embed = timm_model(NATIVE).pos_embed
    by_scale = dino_position_embedding(pos_embed, (8, 8))
    side = NATIVE // PATCH
    by_size = torch.nn.functional.interpolate(
        pos_embed[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2), (8, 8),
        mode='bicubic').flatten(2).transpose(1, 2)
    assert (by_scale[:, 1:] - by_size).abs().max() > 1e-3


@torch.no_grad()
def test_forward_gives_maps(tmp_path):
    """As a plain backbone: (B, C, h, w) maps of the wanted blocks, CLS left out."""
    reference = timm_model((24, 56))
    native = timm_model(NATIVE)
    weights = native.state_dict()
    weights['pos_embed'] = dino_position_embedding(native.pos_embed, (3, 7))
    reference.load_state_dict(weights)
    model = load(tmp_path, native.state_dict(), out_indices=(0, -1))
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
    assert not features.queries.requires_grad
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
