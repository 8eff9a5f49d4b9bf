"""A frozen backbone in bfloat16: nearly the same features, in single precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mmwsfs.models import FeatureCache
from mmwsfs.registry import MODELS
from mmwsfs.structures import LazyImage, LazyImages

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


@pytest.mark.parametrize('backbone', BACKBONES, ids=lambda one: one['type'])
def test_autocast_goes_past_it(backbone: dict) -> None:
    """Features in a training under --amp are those of its test; the cache knows."""
    torch.manual_seed(0)
    image, device = torch.randn(1, 3, 112, 112), torch.device('cpu')
    lazy = LazyImage('one', (112, 112), lambda: image[0])

    def same(dtype: str) -> tuple[bool, bool]:
        """Whether features are, and whether the cache finds them."""
        model = MODELS.build(dict(backbone, dtype=dtype))
        cache = FeatureCache(ram_gb=1)
        cache.bind(model)
        plain: Tensor = model.extract(image).tokens
        images = LazyImages(np.array([lazy], dtype=object), torch.stack)
        cache.extract(images, device, model.extract)
        # As on a GPU: in bfloat16 autocast would leave it alone on a CPU anyway.
        with torch.autocast('cpu', torch.float16):
            return (torch.equal(model.extract(image).tokens, plain),
                    not cache.missing([lazy], device))

    assert same('bfloat16') == (True, True)
    assert same('float32') == (False, False)


@pytest.mark.parametrize('backbone', BACKBONES, ids=lambda one: one['type'])
def test_checkpoints_of_the_other_format(backbone: dict) -> None:
    """Either takes the other's; single precision keeps what rounding left."""
    single = MODELS.build(backbone)
    short = MODELS.build(dict(backbone, dtype='bfloat16'))
    short.load_state_dict(single.state_dict())
    for name, value in short.state_dict().items():
        assert torch.equal(value, single.state_dict()[name].to(value.dtype))
    single.load_state_dict(short.state_dict())
    for name, value in single.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, short.state_dict()[name].float())
