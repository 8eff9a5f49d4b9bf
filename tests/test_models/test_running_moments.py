"""RunningMoments: of all pairs' values, each pair counted alike."""

import pytest
import torch

from mmwsfs.models.running_moments import RunningMoments


def test_against_all_pairs_together():
    """Steps of several pairs, of other sizes; a pair of many values counts no more."""
    generator = torch.Generator().manual_seed(0)
    moments, pairs = RunningMoments(3), []
    for count in (2, 1, 4):
        for _ in range(count):
            size = int(torch.randint(2, 50, (), generator=generator))
            pairs.append(5 + 2 * torch.randn(3, size, generator=generator))
            moments.note(pairs[-1])
        moments.learn()
    assert moments.num_pairs == 7
    means = torch.stack([pair.mean(dim=1) for pair in pairs])
    mean = means.mean(dim=0)
    squares = torch.stack([
        ((pair - mean[:, None])**2).mean(dim=1) for pair in pairs]).mean(dim=0)
    torch.testing.assert_close(moments.mean, mean)
    torch.testing.assert_close(moments.var, squares)


def test_nothing_changes_until_it_is_learned():
    """A pair's result does not depend on the others of its step."""
    moments = RunningMoments(2)
    moments.note(torch.full((2, 4), 9.))
    mean, deviation = moments.mean_and_deviation()
    assert mean.tolist() == [0, 0] and deviation.tolist() == [1, 1]
    moments.learn()
    assert moments.mean.tolist() == [9, 9]
    assert mean.tolist() == [0, 0]  # what was handed out stays


@pytest.mark.parametrize('dtype', [torch.half, torch.bfloat16])
def test_a_constant_channel_and_half_precision(dtype):
    """Nothing is divided by zero; the sums are of single precision."""
    moments = RunningMoments(1)
    moments.note(torch.full((1, 5000), 3., dtype=dtype))
    moments.learn()
    mean, deviation = moments.mean_and_deviation()
    assert mean.item() == 3 and 0 < deviation.item() < 1e-3
