from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .running_moments import RunningMoments


class PrototypeMaps(nn.Module):
    """How alike query patches are to the support's object, and to its surroundings.

    For every block the cosines of each query patch with two prototypes, the support's
    mean tokens inside and outside its mask (as the prototypes of PANet, Wang et al.,
    ICCV 2019, and the prior masks of PFENet, Tian et al., TPAMI 2020), standardised
    over the training pairs. They go round the neck, whose GroupNorms remove how alike
    two images are as a whole. No parameters, no gradient.

    Args:
        num_layers: blocks of the backbone, L.
    """

    def __init__(self, num_layers: int) -> None:
        super().__init__()
        self.moments = RunningMoments(2 * num_layers)

    @staticmethod
    def prototypes(patches: Tensor, mask: Tensor, grid: tuple[int, int]) -> Tensor:
        """Mean of a support's patches, (L, hw, C), inside and outside: (L, 2, C).

        Args:
            patches: of a grid of h x w.
            mask: (H, W), 0 outside the object. Where either part is empty its
                prototype is the mean of all patches.
            grid: (h, w).
        """
        inside = F.adaptive_avg_pool2d(mask[None, None].float(), grid).flatten()
        weights = torch.stack([inside, 1 - inside])
        weights = torch.where(weights.sum(dim=1, keepdim=True) > 0, weights, 1.)
        weights = weights / weights.sum(dim=1, keepdim=True)
        return weights @ patches.float()

    @torch.no_grad()
    def forward(self, query: Tensor, prototypes: Tensor) -> Tensor:
        """Maps of one pair.

        Args:
            query: (L, P, C), patches.
            prototypes: (L, 2, C).

        Returns:
            Tensor: (2 * L, P), standardised; inside first.
        """
        with torch.autocast(query.device.type, enabled=False):
            query = query.float()
            cosines = F.normalize(
                prototypes.float(), dim=-1) @ query.transpose(1, 2)
            cosines /= query.norm(dim=-1).clamp_min(1e-12).unsqueeze(1)
        maps = cosines.transpose(0, 1).flatten(0, 1)
        if self.training:
            self.moments.note(maps)
        mean, deviation = self.moments.mean_and_deviation()
        return (maps - mean[:, None]) / deviation[:, None]
