from __future__ import annotations

import torch
from torch import Tensor


class PatchSums:
    """Weighted sums over patches and their classes: all that a closed form needs.

    In double precision on the CPU, whatever device and precision the patches have.

    Args:
        shape: (..., D) of a patch: its width D, behind axes that are summed apart, such
            as the blocks of a backbone.
        num_classes: N.

    Attributes:
        gram: (..., D, D), of products of patches.
        cross: (..., D, N), of products of patches and their classes' shares.
        patches: (..., D), of patches.
        shares: (N,), of the classes' shares.
        weight: of all patches.
    """

    def __init__(self, shape: tuple[int, ...], num_classes: int) -> None:
        self.gram = torch.zeros(*shape, shape[-1], dtype=torch.double)
        self.cross = torch.zeros(*shape, num_classes, dtype=torch.double)
        self.patches = torch.zeros(shape, dtype=torch.double)
        self.shares = torch.zeros(num_classes, dtype=torch.double)
        self.weight = 0.

    def add(self, patches: Tensor, shares: Tensor, weights: Tensor) -> None:
        """Take M patches in.

        Args:
            patches: (..., M, D).
            shares: (M, N) in 0..1, every class's share of a patch.
            weights: (M,), how much a patch counts.
        """
        weighted = (patches * weights[:, None]).transpose(-1, -2)
        self.gram += (weighted @ patches).cpu()
        self.cross += (weighted @ shares.to(patches)).double().cpu()
        self.patches += weighted.sum(dim=-1).double().cpu()
        self.shares += (weights @ shares.to(weights)).double().cpu()
        self.weight += float(weights.sum())
