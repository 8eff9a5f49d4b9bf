"""How good scores of presence are, beyond right or wrong at 0.5.

All functions take M predictions, of an episode and a way: ``scores``, (M,) float in
0..1, and ``presence``, (M,) bool, the truth. Where a number is wanted for resamples
too, ``weights``, (R, M), say how often each prediction counts; all are in per cent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

BINS = 15
POINTS = 100  # of the risk-coverage curve in a report


def presence_predictions(episodes: Sequence[Mapping]) -> tuple[np.ndarray, np.ndarray]:
    """``scores`` and ``presence`` of E episodes of N ways, M = E * N, way by way.

    Args:
        episodes: what :class:`~mmwsfs.evaluation.FewShotMetric` notes of each.
    """
    scores, presence = (
        np.array([episode[key] for episode in episodes]).ravel()
        for key in ('scores', 'presence'))
    return scores, presence


def area_under_roc(scores: np.ndarray, presence: np.ndarray,
                   weights: np.ndarray) -> np.ndarray:
    """How often a present class has a higher score than an absent one; ties half.

    Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 2006.

    Returns:
        np.ndarray: (R,) per cent; nan where all are present, or all absent.
    """
    levels, level = np.unique(scores, return_inverse=True)
    areas = np.full(len(weights), np.nan)
    for row, weight in enumerate(weights):
        present, absent = (
            np.bincount(level, weight * chosen, len(levels))
            for chosen in (presence, ~presence))
        pairs = present.sum() * absent.sum()
        if pairs:
            below = absent.cumsum() - absent / 2
            areas[row] = 100 * (present @ below) / pairs
    return areas


def roc_curve(scores: np.ndarray,
              presence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares of the absent and of the present that are called present.

    Returns:
        tuple: (T,) each, in 0..1, for thresholds from above all scores to below all.
    """
    levels, level = np.unique(-scores, return_inverse=True)
    absent, present = (
        np.append(0, np.bincount(level, chosen, len(levels)).cumsum())
        for chosen in (~presence, presence))
    return absent / max(absent[-1], 1), present / max(present[-1], 1)


def _bin_of(scores: np.ndarray) -> np.ndarray:
    """Number of the bin, 0..BINS-1, of each score; bin b ends with (b + 1) / BINS."""
    edges = np.arange(1, BINS) / BINS
    return np.searchsorted(edges, scores, side='left')


def calibration_error(scores: np.ndarray, presence: np.ndarray,
                      weights: np.ndarray) -> np.ndarray:
    """Expected calibration error of the score of presence.

    What is binned is the probability of presence itself, in ``BINS`` bins of equal
    width over 0..1, the upper end within: so a class that is called absent with 0.1
    counts as 0.1, and presence should be found in a tenth of such cases. The error is
    the difference of mean score and share present of a bin, averaged over the
    predictions. Equation 3 of Guo et al., "On calibration of modern neural networks",
    ICML 2017, who bin the confidence in the predicted label, which for two labels is
    the same folded at 0.5.

    Returns:
        np.ndarray: (R,) per cent.
    """
    surplus = np.zeros((len(scores), BINS))
    surplus[np.arange(len(scores)), _bin_of(scores)] = scores - presence
    return 100 * np.abs(weights @ surplus).sum(axis=1) / weights.sum(axis=1)


def reliability_bins(scores: np.ndarray, presence: np.ndarray) -> list[dict]:
    """The bins of :func:`calibration_error` that hold predictions.

    Returns:
        list[dict]: ``low`` and ``high``, the ends of the bin, ``count`` of its
        predictions, their mean ``score`` and the share that is ``present``, 0..1.
    """
    bins = _bin_of(scores)
    return [
        dict(low=number / BINS, high=(number + 1) / BINS,
             count=int((bins == number).sum()),
             score=float(scores[bins == number].mean()),
             present=float(presence[bins == number].mean()))
        for number in np.unique(bins).tolist()]


def risk_coverage(scores: np.ndarray, presence: np.ndarray) -> np.ndarray:
    """Share of wrong predictions among the k most confident ones, for k = 1..M.

    The confidence is the distance of a score from 0.5. Equally confident ones come in
    no order: each brings in the mean error of them all. Geifman and El-Yaniv,
    "Selective classification for deep neural networks", NeurIPS 2017. Its mean over k,
    the area under the curve, is AURC.

    Returns:
        np.ndarray: (M,) in 0..1; entry k - 1 is the risk at coverage k / M.
    """
    wrong = (scores > 0.5) != presence
    levels, level, counts = np.unique(
        -np.abs(scores - 0.5), return_inverse=True, return_counts=True)
    ends = np.append(0, counts.cumsum())
    errors = np.append(0, np.bincount(level, wrong, len(levels)).cumsum())
    covered = np.arange(1, len(scores) + 1)
    return np.interp(covered, ends, errors) / covered


def presence_curves(scores: np.ndarray, presence: np.ndarray) -> dict:
    """What a report keeps of them, ready for JSON.

    Returns:
        dict: ``reliability``, see :func:`reliability_bins`, and ``risk_coverage``:
        ``coverage`` and ``risk``, in 0..1, at up to ``POINTS`` places.
    """
    risk = risk_coverage(scores, presence)
    count = min(POINTS, len(risk))
    places = np.arange(1, count + 1) * len(risk) // count
    return dict(
        reliability=reliability_bins(scores, presence),
        risk_coverage=dict(
            coverage=(places / len(risk)).tolist(), risk=risk[places - 1].tolist()))
