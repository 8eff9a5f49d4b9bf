from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


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


def decide(cls_logits: Iterable[Tensor], seg_logits: Iterable[Tensor],
           size: tuple[int, int]) -> Decision:
    """What is in one query, by its logits with the supports of N ways.

    Probabilities are averaged over the shots. A way is present above 0.5. A pixel
    takes the way of the largest foreground probability, or background (0) when
    that is below 0.5.

    Args:
        cls_logits: N of (K, 2), absent/present; K may differ from way to way.
        seg_logits: N of (K, 2, h, w), background/class.
        size: (H, W), the query's original size in pixels.
    """
    scores = torch.stack([
        logits.float().softmax(dim=1)[:, 1].mean() for logits in cls_logits])
    probs = torch.stack([
        F.interpolate(
            logits.float(), size, mode='bilinear',
            align_corners=True).softmax(dim=1)[:, 1].mean(dim=0)
        for logits in seg_logits])
    best, way = probs.max(dim=0)
    label_map = torch.where(best >= 0.5, way + 1, 0).to(torch.uint8)
    return Decision(scores, scores > 0.5, probs, label_map)
