from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from mmwsfs.structures import TokenGrid


class Supports(NamedTuple):
    """All that the model keeps of P supports: little beside their features.

    Attributes:
        tokens: CLS and patches on the neck's s x s grid, in the metric's space.
        masks: (P, H, W) bool.
        prototypes: (P, L, 2, C) in the metric's space, or None.
        cls: (P, L, C), CLS tokens as the backbone gives them.
    """

    tokens: TokenGrid
    masks: Tensor
    prototypes: Tensor | None
    cls: Tensor
