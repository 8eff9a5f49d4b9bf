"""The bootstrap's resamples and intervals."""

from __future__ import annotations

import numpy as np
import pytest

from mmwsfs.evaluation.bootstrap import percentile_interval, resample_counts


def test_resamples_have_the_size_of_the_sample() -> None:
    """E draws from E episodes, each as likely as the other."""
    counts = resample_counts(7, resamples=20000)
    assert counts.shape == (20000, 7) and (counts.sum(axis=1) == 7).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(7), abs=0.03)
    assert counts.var(axis=0) == pytest.approx(np.full(7, 6 / 7), abs=0.05)


def test_seed() -> None:
    """The same intervals at every run; another seed gives other resamples."""
    assert (resample_counts(9) == resample_counts(9)).all()
    assert (resample_counts(9) != resample_counts(9, seed=1)).any()


def test_interval_covers_the_truth() -> None:
    """Of many samples about 95 % have the true share within their interval."""
    rng = np.random.default_rng(3)
    hits, samples, size, share = 0, 300, 200, 0.7
    counts = resample_counts(size)
    for _ in range(samples):
        exact = rng.random(size) < share
        low, high = percentile_interval(counts @ exact / size)
        hits += low <= share <= high
    assert 0.91 < hits / samples < 0.985


def test_level() -> None:
    """The ends are percentiles."""
    assert percentile_interval(np.arange(101.), level=0.9) == pytest.approx((5, 95))
