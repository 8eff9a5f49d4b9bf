"""Other libraries' backbones as a few-shot model asks for one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mmwsfs.models import CNNAdapter, DINOVisionTransformer, ViTAdapter

ARCH = dict(embed_dims=16, num_layers=3, num_heads=2, feedforward_channels=32)
VIT = dict(type='mmpretrain.VisionTransformer', arch=ARCH, img_size=32, patch_size=8)
CNN = dict(type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8,
           out_indices=(0, 1, 2, 3))
WIDTHS = [8, 16, 32, 64]


@pytest.fixture
def images(one_thread) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(3, 3, 32, 32)


def test_a_vit_gives_what_ours_gives(images) -> None:
    """The same weights, at the size of pretraining: the same features."""
    ours = DINOVisionTransformer(arch=ARCH, img_size=32)
    ours.init_weights()
    adapter = ViTAdapter(VIT)
    adapter.vit.load_state_dict(ours.state_dict())
    expected, found = ours.extract(images), adapter.extract(images)
    assert found.grid == expected.grid == (4, 4)
    for name in ('tokens', 'cls_query', 'keys'):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name))
    assert (adapter.num_layers, adapter.num_heads, adapter.embed_dims) == (3, 2, 16)


def test_the_distillation_token_is_left_out(images) -> None:
    """DeiT's distilled ViTs have a second extra token."""
    adapter = ViTAdapter(dict(VIT, type='mmpretrain.DistilledVisionTransformer'))
    features = adapter.extract(images)
    assert features.tokens.shape == (3, 3, 1 + 16, 16)
    assert features.keys.shape == (3, 2, 16, 8)
    raw = adapter.vit(images)[-1]
    torch.testing.assert_close(features.tokens[:, -1, 1:], raw[:, 2:])
    torch.testing.assert_close(features.tokens[:, -1, 0], raw[:, 0])


@pytest.mark.parametrize('frozen', [True, False])
def test_frozen_or_not(images, frozen: bool) -> None:
    """Frozen: no gradient, and evaluation mode whatever the model is told."""
    for adapter in (ViTAdapter(VIT, frozen=frozen),
                    CNNAdapter(CNN, WIDTHS, frozen=frozen)):
        adapter.train()
        assert all(module.training != frozen for module in adapter.modules())
        assert all(p.requires_grad != frozen for p in adapter.parameters())
        assert adapter.extract(images).tokens.requires_grad != frozen


def test_cosines_are_those_of_the_stages(images) -> None:
    """Head by head, zeros change nothing; CLS is the mean."""
    adapter = CNNAdapter(CNN, WIDTHS, num_heads=4, grid_stage=1)
    features = adapter.extract(images)
    assert features.grid == (4, 4) and features.tokens.shape == (3, 4, 17, 64)
    stages = adapter.cnn(images)
    for layer, stage in enumerate(stages):
        resized = F.interpolate(stage, (4, 4), mode='bilinear', align_corners=False)
        for head, part in enumerate(resized.chunk(4, dim=1)):
            part = F.normalize(part.flatten(2), dim=1)
            mine = F.normalize(
                features.tokens[:, layer, 1:, 16 * head:16 * head + 16], dim=-1)
            torch.testing.assert_close(
                mine[0] @ mine[1].T, part[0].T @ part[1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        features.tokens[:, :, 0], features.tokens[:, :, 1:].mean(dim=2))
    torch.testing.assert_close(
        features.keys.transpose(1, 2).flatten(2), features.tokens[:, -1, 1:])


@pytest.mark.parametrize('build, message', [
    (lambda: CNNAdapter(CNN, WIDTHS, num_heads=3), 'multiples of num_heads'),
    (lambda: CNNAdapter(CNN, [8, 16], num_heads=1).extract(torch.zeros(1, 3, 32, 32)),
     r'\(8, 16, 32, 64\) channels, but CNNAdapter was told \(8, 16\)'),
    (lambda: ViTAdapter(VIT).extract(torch.zeros(1, 3, 30, 32)),
     '30x32 pixels cannot be cut .*img_size'),
    (lambda: ViTAdapter(dict(VIT, with_cls_token=False)), 'without a CLS token'),
    (lambda: ViTAdapter(dict(type='mmpretrain.SwinTransformer', arch='tiny')),
     "'mmpretrain.SwinTransformer' is not"),
])
def test_what_is_refused(one_thread, build, message: str) -> None:
    """In one sentence that says what to set."""
    with pytest.raises(ValueError, match=message):
        build()
