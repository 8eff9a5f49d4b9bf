"""Products by oneDNN: a quicker way to the same features, taken where it is meant."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F

from mmwsfs.models.backbones import onednn_linear as module
from mmwsfs.registry import MODELS

CPU = torch.device('cpu')
pytestmark = pytest.mark.skipif(
    not hasattr(torch.ops.mkldnn, '_linear_pointwise'),
    reason='this PyTorch has no oneDNN')


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """As on a processor that gains by it; how many products oneDNN computes."""
    seen: list[int] = []
    compute = module._linear

    def linear(*args: torch.Tensor) -> torch.Tensor:
        seen.append(1)
        return compute(*args)

    monkeypatch.setattr(module, 'mkl_is_slow', lambda: True)
    monkeypatch.setattr(module, '_linear', linear)
    yield seen


@pytest.mark.parametrize('backbone', (
    dict(type='DINOVisionTransformer', arch='deit-small'),
    dict(type='DINOv3VisionTransformer', arch='small+'),
), ids=('dino', 'dinov3'))
def test_features_are_the_same(backbone: dict, calls: list[int],
                               monkeypatch: pytest.MonkeyPatch) -> None:
    """All products of all blocks go there: qkv, the projection, two or three of the
    FFN."""
    model = MODELS.build(backbone)
    images = torch.randn(2, 3, 32, 48)
    features = model.extract(images)
    assert len(calls) == 2 * 12 * 4
    monkeypatch.setattr(module, 'mkl_is_slow', lambda: False)
    expected = model.extract(images)
    assert len(calls) == 2 * 12 * 4
    for name in ('tokens', 'cls_query', 'keys'):
        torch.testing.assert_close(
            getattr(features, name), getattr(expected, name), rtol=1e-4, atol=1e-4)


def test_where_it_is_not_taken(calls: list[int]) -> None:
    """Training, autocast, another format, another device, a traced model."""
    x, weight = torch.randn(3, 4), torch.randn(5, 4)

    def traced(x: torch.Tensor) -> torch.Tensor:
        with module.onednn_linear(CPU):
            return F.linear(x, weight)

    with module.onednn_linear(CPU):  # gradients are on
        F.linear(x, weight)
    with torch.no_grad():
        with torch.autocast('cpu', torch.bfloat16), module.onednn_linear(CPU):
            F.linear(x, weight)
        with module.onednn_linear(CPU):
            F.linear(x.double(), weight.double())
            F.linear(x.bfloat16(), weight.bfloat16())
        with module.onednn_linear(torch.device('meta')):
            F.linear(x.to('meta'), weight.to('meta'))
        torch.jit.trace(traced, x, check_trace=False)
        assert not calls
        with module.onednn_linear(CPU):
            found = F.linear(x, weight, torch.ones(5))
    assert calls and torch.allclose(found, x @ weight.T + 1, atol=1e-5)
