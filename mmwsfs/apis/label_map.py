"""The label map of a prediction, made again at another threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from mmwsfs.models.segmentors.decision import label_pixels


def check_threshold(threshold: float) -> None:
    """Raise a ValueError where a threshold of presence is not within 0..1."""
    if not 0 <= threshold <= 1:
        raise ValueError(
            f'threshold={threshold}: give a probability of presence, 0 to 1')


def label_map(probs: np.ndarray,
              presence: Mapping[str, float] | Sequence[float],
              threshold: float = 0.5,
              absent_pixels: bool = False) -> np.ndarray:
    """The label map of a prediction, without asking the model again.

    A pixel takes the class of the largest foreground probability, or background (0)
    where that is below 0.5. Classes that are absent are left out, if they may not have
    pixels: of a :class:`.FewShotInferencer`'s result it makes the same map again, and
    at another threshold the map that it would have made at that one.

    Args:
        probs: (N, H, W) float, foreground probabilities, as in the result.
        presence: probabilities of presence of the N classes, as in the result.
        threshold: a class is present above this probability, 0..1. Defaults to 0.5.
        absent_pixels: whether absent classes may have pixels. Defaults to False.

    Returns:
        np.ndarray: (H, W) uint8, 0 = background, 1..N = class.

    Raises:
        ValueError: the threshold is no probability, or there are not as many classes
            in ``presence`` as in ``probs``.
    """
    check_threshold(threshold)
    scores = [*(presence.values() if isinstance(presence, Mapping) else presence)]
    if len(scores) != len(probs):
        raise ValueError(
            f'presence is of {len(scores)} classes, but probs of {len(probs)}: give '
            'both of one result')
    return label_pixels(
        torch.from_numpy(probs), torch.tensor(scores), threshold, absent_pixels).numpy()
