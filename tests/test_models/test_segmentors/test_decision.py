"""What is decided from a query's logits for its ways and negatives."""

import pytest
import torch

from mmwsfs.models.segmentors.decision import (
    WayLogits,
    decide,
    hold_against,
    mean_of_shots,
)

SIZE = (9, 7)


def logits_of(*probabilities):
    """(N, 2), whose softmax is the probabilities."""
    p = torch.tensor(probabilities)
    return torch.stack([torch.zeros_like(p), p.logit()], dim=1)


def votes(*probabilities):
    """(V, 2, 3, 3), each vote of one probability all over."""
    return logits_of(*probabilities)[..., None, None].expand(-1, -1, 3, 3)


def test_shots_are_averaged():
    """Their probabilities; one shot stays as it is, to the last bit."""
    one = torch.randn(1, 2)
    assert torch.equal(mean_of_shots(one), one[0])
    many = 30 * torch.randn(4, 2)
    torch.testing.assert_close(
        mean_of_shots(many).softmax(0), many.softmax(1).mean(0))


def test_decision():
    """Present above 0.5; votes for pixels are averaged; the likeliest way wins."""
    found = decide(
        WayLogits(logits_of(0.6, 0.4), [votes(0.9, 0.5), votes(0.6)]), SIZE)
    torch.testing.assert_close(found.scores, torch.tensor([0.6, 0.4]))
    assert found.present.tolist() == [True, False]
    torch.testing.assert_close(found.probs[:, 0, 0], torch.tensor([0.7, 0.6]))
    assert found.probs.shape == (2, *SIZE) and (found.label_map == 1).all()


def test_an_absent_way_has_no_mask_where_that_is_asked():
    """A pixel is no more probable than the way's presence."""
    logits = WayLogits(logits_of(0.4, 0.7), [votes(0.9), votes(0.8)])
    found = decide(logits, SIZE, gated=True)
    torch.testing.assert_close(found.probs[:, 0, 0], torch.tensor([0.4, 0.7]))
    assert (found.label_map == 2).all()
    assert (decide(logits, SIZE).label_map == 1).all()


@pytest.mark.parametrize(('way', 'negatives', 'expected'), [
    (0.8, [0.7], 0.8),  # the way explains it better: nothing changes
    (0.8, [0.8], 0.8),
    (0.8, [0.9], 0.1),
    (0.2, [0.3], 0.2),  # never raised
    (0.2, [0.9, 0.3], 0.1),
    (0.6, [0.7, 0.1, 0.95], 0.05)])
def test_a_better_negative_is_held_against_the_way(way, negatives, expected):
    """The strongest of several, whatever their order."""
    for order in (negatives, negatives[::-1]):
        found = hold_against(
            torch.tensor([way, *order]), [0] * len(order))
        torch.testing.assert_close(found, torch.tensor([expected]))


def test_negatives_of_another_way_play_no_part():
    """Presence and pixels, each by its own rule of the same form."""
    logits = WayLogits(
        logits_of(0.8, 0.8, 0.9),
        [votes(0.6, 0.8), votes(0.9), votes(0.75)])
    found = decide(logits, SIZE, negative_of=[0])
    torch.testing.assert_close(found.scores, torch.tensor([0.1, 0.8]))
    torch.testing.assert_close(found.probs[:, 4, 3], torch.tensor([0.25, 0.9]))
    assert (found.label_map == 2).all()
    found = decide(logits, SIZE, negative_of=[1])
    torch.testing.assert_close(found.scores, torch.tensor([0.8, 0.1]))
    torch.testing.assert_close(found.probs[:, 4, 3], torch.tensor([0.7, 0.9]))
