"""Bootstrap over episodes: how much would a number change with other episodes?"""

from __future__ import annotations

import numpy as np

RESAMPLES = 1000
SEED = 0
LEVEL = 0.95


def resample_counts(num_episodes: int, resamples: int = RESAMPLES,
                    seed: int = SEED) -> np.ndarray:
    """How often each episode occurs in each resample.

    A resample draws as many episodes as there are, with replacement.

    Args:
        num_episodes: E, at least 1.
        resamples: R.
        seed: the same seed gives the same resamples.

    Returns:
        np.ndarray: (R, E) int64, every row of sum E.
    """
    generator = np.random.default_rng(seed)
    return generator.multinomial(
        num_episodes, np.full(num_episodes, 1 / num_episodes), size=resamples)


def percentile_interval(values: np.ndarray,
                        level: float = LEVEL) -> tuple[float, float]:
    """The percentile bootstrap's interval (Efron, 1981).

    Args:
        values: (R,) the number in each resample.
        level: share of the resamples within the interval, 0..1.

    Returns:
        tuple[float, float]: its lower and its upper end.
    """
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(values, (tail, 100 - tail))
    return float(low), float(high)
