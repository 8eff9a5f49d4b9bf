"""decide: strips and short cuts for large photographs change no bit of it."""
from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from mmwsfs.models.segmentors import decision
from mmwsfs.models.segmentors.decision import WayLogits, decide


@pytest.mark.parametrize('size', [(1500, 1100), (1, 1), (1, 700000), (700, 1)])
@pytest.mark.parametrize('votes', [[1], [3], [1, 2]])
def test_the_published_rule(
        one_thread: None, votes: list[int], size: tuple[int, int]) -> None:
    """Plainly: the mean of the votes' softmax, the largest way, from 0.5."""
    torch.manual_seed(0)
    segmentation = [3 * torch.randn(number, 2, 7, 9) for number in votes]
    found = decide(WayLogits(torch.randn(len(votes), 2), segmentation), size)
    probs = torch.stack([
        F.interpolate(logits, size, mode='bilinear', align_corners=True)
        .softmax(dim=1)[:, 1].mean(dim=0) for logits in segmentation])
    best, way = probs.max(dim=0)
    assert torch.equal(found.probs, probs)
    assert found.label_map.dtype == torch.uint8
    assert torch.equal(
        found.label_map, torch.where(best >= 0.5, way + 1, 0).to(torch.uint8))


def test_strips_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large photograph is parted, one of a data set is not."""
    taken: list[int] = []
    softmax: Callable = torch.Tensor.softmax
    monkeypatch.setattr(torch.Tensor, 'softmax', lambda self, dim: (
        taken.append(self[0, 0].numel()) if self.ndim == 4 else None,
        softmax(self, dim))[1])
    logits = WayLogits(torch.zeros(1, 2), [torch.zeros(1, 2, 4, 4)])
    decide(logits, (500, 500))
    assert taken == [250000]
    taken.clear()
    decide(logits, (3000, 1000))
    assert sum(taken) == 3000000 and max(taken) <= decision._STRIP


@pytest.mark.parametrize('gated', [False, True])
def test_absent_ways_without_pixels(gated: bool) -> None:
    """Presence decides which ways take part, not how probable their pixels are."""
    presence = torch.tensor([[0., 3.], [2., 0.], [0., 1.]])
    segmentation = [torch.tensor([0., odds]).view(1, 2, 1, 1) for odds in (1., 9., 2.)]
    logits = WayLogits(presence, segmentation)
    found = decide(logits, (2, 2), gated=gated, absent_pixels=False)
    assert found.present.tolist() == [True, False, True]
    assert (found.label_map == 3).all()
    assert torch.equal(found.probs, decide(logits, (2, 2)).probs)
    assert (decide(logits, (2, 2), threshold=0.1, absent_pixels=False).label_map
            == 2).all()
    none = decide(logits, (2, 2), threshold=1, absent_pixels=False)
    assert not none.label_map.any() and none.label_map.dtype == torch.uint8
