"""Ties, ends of bins, curves; test_few_shot_metric compares the numbers with loops."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmwsfs.evaluation.presence_plot import plot_presence
from mmwsfs.evaluation.presence_quality import (
    area_under_roc,
    calibration_error,
    presence_curves,
    reliability_bins,
    risk_coverage,
    roc_curve,
)


@pytest.fixture
def tied() -> tuple[np.ndarray, np.ndarray]:
    """400 predictions on 21 scores, 0, 0.5, 1 and ends of bins among them."""
    rng = np.random.default_rng(0)
    scores = rng.choice(np.append(np.arange(16) / 15, [.5, .01, .33, .8, .99]), 400)
    return scores, rng.random(400) < scores


def test_area_of_ties(tied: tuple[np.ndarray, np.ndarray]) -> None:
    """All pairs, ties half; weights count as repetitions; and the curve's area."""
    scores, presence = tied
    rng = np.random.default_rng(1)
    weights = np.vstack([np.ones(400, int), rng.integers(0, 3, (3, 400))])
    found = area_under_roc(scores, presence, weights)
    for weight, area in zip(weights, found):
        high = scores.repeat(weight)[presence.repeat(weight)]
        low = scores.repeat(weight)[~presence.repeat(weight)]
        higher = high[:, None] - low
        assert area == pytest.approx(100 * ((higher > 0) + (higher == 0) / 2).mean())
    false, true = roc_curve(scores, presence)
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    trapezoids = np.diff(false) * (true[1:] + true[:-1]) / 2
    assert found[0] == pytest.approx(100 * trapezoids.sum())


def test_area_needs_both_truths() -> None:
    """A resample of one truth has none, the others have."""
    weights = np.array([[1, 1], [2, 0]])
    found = area_under_roc(np.array([.9, .1]), np.array([True, False]), weights)
    assert found[0] == 100 and np.isnan(found[1])


def test_bins_hold_their_upper_ends(tied: tuple[np.ndarray, np.ndarray]) -> None:
    """Every prediction in one bin; the error is that of the bins; weights repeat."""
    scores, presence = tied
    bins = reliability_bins(scores, presence)
    for entry in bins:
        inside = (scores > entry['low']) & (scores <= entry['high'])
        if entry['low'] == 0:
            inside |= scores == 0
        assert entry['count'] == inside.sum()
        assert entry['score'] == pytest.approx(scores[inside].mean())
        assert entry['present'] == pytest.approx(presence[inside].mean())
    assert sum(entry['count'] for entry in bins) == 400
    error = sum(
        entry['count'] / 4 * abs(entry['score'] - entry['present']) for entry in bins)
    weight = np.arange(400) % 3
    found = calibration_error(scores, presence, np.vstack([np.ones(400), weight]))
    again = calibration_error(
        scores.repeat(weight), presence.repeat(weight), np.ones((1, weight.sum())))
    assert found == pytest.approx([error, again[0]])


def test_certain_and_right_is_no_error() -> None:
    """And certain and wrong is all of it."""
    scores, presence = np.array([0., 1., 1.]), np.array([False, True, True])
    for truth, error in ((presence, 0), (~presence, 100)):
        assert calibration_error(scores, truth, np.ones((1, 3)))[0] == error


def test_risk_does_not_depend_on_the_order(
        tied: tuple[np.ndarray, np.ndarray]) -> None:
    """Equally confident ones come in no order: the mean over many random ones."""
    scores, presence = tied
    found = risk_coverage(scores, presence)
    rng = np.random.default_rng(2)
    means = np.zeros(400)
    for _ in range(300):
        order = rng.permutation(400)
        order = order[np.argsort(-np.abs(scores[order] - .5), kind='stable')]
        wrong = (scores[order] > .5) != presence[order]
        means += wrong.cumsum() / np.arange(1, 401) / 300
    assert found == pytest.approx(means, abs=0.04)
    assert found[-1] == ((scores > .5) != presence).mean()


def test_curves_are_ready_for_json(tied: tuple[np.ndarray, np.ndarray]) -> None:
    """A hundred places of the curve, or all where there are fewer."""
    curves = json.loads(json.dumps(presence_curves(*tied)))
    curve = curves['risk_coverage']
    assert curve['coverage'] == pytest.approx((np.arange(1, 101) / 100).tolist())
    assert curve['risk'] == risk_coverage(*tied)[3::4].tolist()
    assert curves['reliability'] == reliability_bins(*tied)
    few = presence_curves(np.array([.9, .6]), np.array([True, False]))
    assert few['risk_coverage'] == dict(coverage=[.5, 1], risk=[0, .5])


@pytest.mark.parametrize('truths', ['both', 'one'])
def test_picture(tied: tuple[np.ndarray, np.ndarray], tmp_path: Path,
                 truths: str) -> None:
    """A picture whose panels hold lines; without both truths the ROC's is empty."""
    scores, presence = tied
    numbers = dict(ECE=5., AURC=10., presence_AUC=80.)
    if truths == 'one':
        presence = np.ones_like(presence)
        del numbers['presence_AUC']
    plot_presence(tmp_path / 'presence.png', scores, presence, numbers)
    assert [path.name for path in tmp_path.iterdir()] == ['presence.png']
    with Image.open(tmp_path / 'presence.png') as image:
        blue = (np.asarray(image.convert('RGB')) == (31, 119, 180)).all(axis=-1)
    third = blue.shape[1] // 3
    assert [bool(blue[:, third * i:third * (i + 1)].any()) for i in range(3)] == [
        True, True, truths == 'both']
