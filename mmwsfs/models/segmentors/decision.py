from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_STRIP = 1 << 18  # pixels
_VECTOR = 64  # more values than a vector of any processor has


class WayLogits(NamedTuple):
    """What a model says of one query for N ways.

    Attributes:
        presence: (N, 2), absent/present.
        segmentation: N of (V, 2, h, w), background/class: votes of equal weight, whose
            probabilities are averaged. V may differ from way to way.
    """

    presence: Tensor
    segmentation: Sequence[Tensor]


class Decision(NamedTuple):
    """The prediction for one query by N ways.

    Attributes:
        scores: (N,) float in 0..1, probabilities of presence.
        present: (N,) bool.
        probs: (N, H, W) float in 0..1, foreground probabilities of every way.
        label_map: (H, W) uint8, 0 = background, 1..N = way.
    """

    scores: Tensor
    present: Tensor
    probs: Tensor
    label_map: Tensor


def mean_of_shots(logits: Tensor) -> Tensor:
    """Logits whose probabilities are the mean of those of K shots.

    Args:
        logits: (K, 2); of one shot they are the result.

    Returns:
        Tensor: (2,)
    """
    if len(logits) == 1:
        return logits[0]
    return logits.float().log_softmax(dim=1).logsumexp(dim=0)


def hold_against(probs: Tensor, negative_of: Sequence[int]) -> Tensor:
    """Probabilities of N ways, against those of M negative supports.

    A negative support shows what a way is not. It is asked about as if it were a way of
    its own. Where it is more probable than the way, the way is no more probable than
    its opposite, 1 - p: below 0.5 if the way was above. Elsewhere nothing changes.

    Args:
        probs: (N + M, ...), of the ways, then of the negatives.
        negative_of: of every negative the way, 0..N-1, that it is not.

    Returns:
        Tensor: (N, ...)
    """
    ways, negatives = probs.split([len(probs) - len(negative_of), len(negative_of)])
    held = ways.clone()
    for way, negative in zip(negative_of, negatives):
        held[way] = torch.where(
            negative > ways[way], torch.minimum(held[way], 1 - negative), held[way])
    return held


def _foreground(votes: Tensor, probs: Tensor) -> None:
    """Foreground probabilities, the mean of those of V votes.

    The softmax is taken of strips, which stay in the processor's cache: for a large
    photograph that is several times quicker, and the same to the last bit.

    Args:
        votes: (V, 2, h, w), logits.
        probs: (H, W), which take them.
    """
    height, width = probs.shape
    logits = F.interpolate(
        votes.float(), (height, width), mode='bilinear', align_corners=True)
    # By whole vectors of the processor, or its rounding would differ at the seams.
    rows = max(1, _STRIP // width // _VECTOR) * _VECTOR
    for top in range(0, height, rows):
        strip = logits[:, :, top:top + rows]
        probs[top:top + rows] = strip.softmax(dim=1)[:, 1].mean(dim=0)


def label_pixels(probs: Tensor, scores: Tensor, threshold: float = 0.5,
                 absent_pixels: bool = True) -> Tensor:
    """A pixel takes the way of the largest foreground probability, or background (0)
    when that is below 0.5.

    Args:
        probs: (N, H, W), foreground probabilities of N ways.
        scores: (N,), their probabilities of presence.
        threshold: a way is absent up to this score. Defaults to 0.5.
        absent_pixels: whether absent ways take pixels. Defaults to True, as published.

    Returns:
        Tensor: the label map, (H, W) uint8, 0..N.
    """
    numbers = torch.arange(1, 1 + len(probs), dtype=torch.uint8, device=probs.device)
    if not absent_pixels:
        present = scores > threshold
        if not bool(present.all()):
            probs, numbers = probs[present], numbers[present]
    if not len(probs):
        return torch.zeros(probs.shape[1:], dtype=torch.uint8, device=probs.device)
    if len(probs) == 1:  # a photograph has millions of pixels: this is quicker
        return (probs[0] >= 0.5) * numbers
    best, way = probs.max(dim=0)
    return (best >= 0.5) * numbers[way]


def decide(logits: WayLogits, size: tuple[int, int],
           negative_of: Sequence[int] = (), gated: bool = False,
           threshold: float = 0.5, absent_pixels: bool = True) -> Decision:
    """What is in one query, by its logits for N ways.

    Without its last two arguments it is as published: a way is present above 0.5, and
    pixels do not ask whether their way is (:func:`.label_pixels`).

    Args:
        logits: of the N ways, then of M negative supports, which are held against the
            presence and the pixels of their ways (:func:`.hold_against`).
        size: (H, W), the query's original size in pixels.
        negative_of: of every negative the way, 0..N-1, that it is not. Defaults to
            none.
        gated: whether a pixel is no more probable than its way is present. Defaults to
            False, as published. Where absent ways take no pixels it says nothing.
        threshold: a way is present above this score. Defaults to 0.5.
        absent_pixels: whether absent ways take pixels. Defaults to True.
    """
    scores = logits.presence.float().softmax(dim=1)[:, 1]
    probs = torch.empty(
        len(logits.segmentation), *size, dtype=torch.float32,
        device=logits.presence.device)
    for way, votes in enumerate(logits.segmentation):
        _foreground(votes, probs[way])
    if negative_of:
        scores, probs = (hold_against(both, negative_of) for both in (scores, probs))
    if gated and absent_pixels:
        probs = torch.minimum(probs, scores[:, None, None])
    return Decision(
        scores, scores > threshold, probs,
        label_pixels(probs, scores, threshold, absent_pixels))
