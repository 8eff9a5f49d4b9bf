from __future__ import annotations

import torch
from mmengine.dist import all_gather
from torch import Tensor, nn


class RunningMoments(nn.Module):
    """Mean and variance of every channel over all training pairs, each counted alike.

    They are noted pair by pair and learned once a step, on all ranks together; until
    they are learned they do not change, so that a pair's result does not depend on its
    batch. Before the first step the mean is 0 and the variance 1.

    Args:
        num_channels: C.
    """

    num_pairs: Tensor
    mean: Tensor
    var: Tensor

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.register_buffer('num_pairs', torch.zeros((), dtype=torch.long))
        self.register_buffer('mean', torch.zeros(num_channels))
        self.register_buffer('var', torch.ones(num_channels))
        self._noted: list[Tensor] = []

    @torch.no_grad()
    def note(self, values: Tensor) -> None:
        """Take one pair's values, (C, ...), for :meth:`learn`."""
        self._noted.append(torch.stack(
            torch.var_mean(values.float().flatten(1), dim=1, correction=0)[::-1]))

    @torch.no_grad()
    def learn(self) -> None:
        """Take what was noted, as many pairs on every rank, into the moments."""
        noted = torch.cat(all_gather(torch.stack(self._noted)))
        self._noted.clear()
        mean, var = noted.unbind(dim=1)
        self.num_pairs += len(noted)
        share = len(noted) / self.num_pairs
        # Of the pairs together: the mean variance and the variance of the means.
        step = mean.mean(dim=0) - self.mean
        new = var.mean(dim=0) + mean.var(dim=0, correction=0)
        self.var.lerp_(new + (1 - share) * step**2, share)
        self.mean += share * step

    def mean_and_deviation(self) -> tuple[Tensor, Tensor]:
        """(C,) each, the deviation above 0; later steps do not change them."""
        return self.mean.clone(), self.var.sqrt().clamp_min(1e-4)
