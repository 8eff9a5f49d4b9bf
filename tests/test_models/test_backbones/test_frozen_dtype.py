"""A frozen backbone in bfloat16: nearly the same features, in single precision."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mmwsfs.registry import MODELS

ARCH = dict(embed_dims=32, num_layers=3, num_heads=2, feedforward_channels=64)
BACKBONES = (
    dict(type='DINOVisionTransformer', arch=ARCH, img_size=56, patch_size=14),
    dict(type='DINOv3VisionTransformer', arch=dict(ARCH, swiglu=True)),
)


@pytest.mark.parametrize('backbone', BACKBONES, ids=lambda one: one['type'])
def test_features_are_nearly_the_same(backbone: dict) -> None:
    """All three tensors, and the maps of a plain backbone; buffers are left alone."""
    torch.manual_seed(0)
    single = MODELS.build(backbone)
    short = MODELS.build(dict(backbone, dtype='bfloat16'))
    short.load_state_dict(single.state_dict())
    assert {p.dtype for p in short.parameters()} == {torch.bfloat16}
    assert {b.dtype for b in short.buffers()} <= {torch.float32}
    images = torch.randn(2, 3, 112, 112)
    expected, found = single.extract(images), short.extract(images)
    for name in ('tokens', 'cls_query', 'keys'):
        one, other = getattr(expected, name), getattr(found, name)
        assert other.dtype == torch.float32
        assert F.cosine_similarity(one, other, dim=-1).mean() > 0.999
    (one, ), (other, ) = single(images), short(images)
    assert other.dtype == torch.float32
    assert F.cosine_similarity(one, other, dim=1).mean() > 0.999


@pytest.mark.parametrize('backbone', BACKBONES, ids=lambda one: one['type'])
def test_only_a_frozen_one(backbone: dict) -> None:
    with pytest.raises(ValueError, match="dtype='bfloat16' is for a frozen backbone"):
        MODELS.build(dict(backbone, dtype='bfloat16', frozen=False))
    with pytest.raises(ValueError, match="dtype='float16': choose one of float32"):
        MODELS.build(dict(backbone, dtype='float16'))
