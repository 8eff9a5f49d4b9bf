"""digest_module: equal for equal modules, another for whatever matters."""

import numpy as np
import pytest
import torch
from torch import nn

from mmwsfs.models import (
    AttentionLabeler,
    DINOv3VisionTransformer,
    DINOVisionTransformer,
    PseudoLabelEnhancer,
)
from mmwsfs.utils.module_digest import digest_module


def test_one_bit_of_a_weight():
    """Of the last one; a copy of the old weights gives the old digest."""
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    before = digest_module(module)
    old = module[2].weight.data[1, 1].item()
    module[2].weight.data[1, 1] = np.nextafter(np.float32(old), np.float32(9)).item()
    assert digest_module(module) != before
    module[2].weight.data[1, 1] = old
    assert digest_module(module) == before


def test_buffers_and_precision():
    """What a module keeps beside its weights, and the numbers' type."""
    norm = nn.BatchNorm1d(3)
    digests = {digest_module(norm)}
    norm.running_mean[0] = 1
    digests.add(digest_module(norm))
    digests.add(digest_module(norm.double()))
    assert len(digests) == 3


@pytest.mark.parametrize('first, second', [
    (dict(threshold=0.4), dict(threshold=0.5)),
    (dict(adaptive=0.5), dict(adaptive=None)),
    (dict(adaptive=0.5), dict(adaptive=0.5, affinity=20.)),
])
def test_settings_that_leave_no_trace_in_weights(first, second):
    """Of a module without any weight; equal settings are equal."""
    digest = digest_module(AttentionLabeler(**first))
    assert digest == digest_module(AttentionLabeler(**first))
    assert digest != digest_module(AttentionLabeler(**second))


def test_the_mode_is_none():
    """A module in training is the one that it is in testing."""
    enhancer = PseudoLabelEnhancer(2)
    assert digest_module(enhancer.train()) == digest_module(enhancer.eval())


def test_other_settings_of_equal_weights_are_another_backbone():
    """Heads and the norm's epsilon leave no trace in the weights; the mode is none."""
    def build(heads: int) -> DINOVisionTransformer:
        torch.manual_seed(0)
        return DINOVisionTransformer(
            arch=dict(embed_dims=8, num_layers=1, num_heads=heads,
                      feedforward_channels=8), img_size=16)

    first, same, heads, epsilon = build(2), build(2), build(4), build(2)
    epsilon.ln1.eps *= 10
    for other in (heads, epsilon):
        for one, two in zip(first.state_dict().values(), other.state_dict().values()):
            assert torch.equal(one, two)
    digests = [digest_module(model) for model in (first, same, heads, epsilon)]
    assert digests[0] == digests[1] and len(set(digests)) == 3
    same.load_state_dict(first.state_dict())
    same.init_weights()
    same.load_state_dict(first.state_dict())
    same.extract(torch.zeros(1, 3, 16, 16))
    assert digest_module(same) == digests[0]


def test_other_keys_and_another_number_format_are_another_backbone():
    """Of equal weights: their features in a cache are not each other's."""
    def digest(**settings: object) -> str:
        torch.manual_seed(0)
        return digest_module(DINOv3VisionTransformer(
            arch=dict(embed_dims=8, num_layers=1, num_heads=2, feedforward_channels=8,
                      swiglu=False), **settings))

    assert digest() == digest()
    assert len({digest(), digest(rotated_keys=True), digest(dtype='bfloat16'),
                digest(rotated_keys=True, dtype='bfloat16')}) == 4
