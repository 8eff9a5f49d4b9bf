from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from mmwsfs.models.running_moments import RunningMoments
from mmwsfs.registry import MODELS
from mmwsfs.structures import TokenGrid, ViTFeatures


def support_prototypes(support: ViTFeatures, masks: Tensor) -> Tensor:
    """Mean of each support's patches inside and outside its mask.

    Args:
        support: features of P images.
        masks: (P, H, W), 0 outside the object. Where either part is empty its
            prototype is the mean of all patches.

    Returns:
        Tensor: (P, L, 2, C) single precision, inside first.
    """
    inside = F.adaptive_avg_pool2d(masks.unsqueeze(1).float(), support.grid).flatten(2)
    weights = torch.cat([inside, 1 - inside], dim=1)
    weights = torch.where(weights.sum(dim=2, keepdim=True) > 0, weights, 1.)
    weights = weights / weights.sum(dim=2, keepdim=True)
    return torch.stack([
        weight @ tokens[:, 1:].float()
        for weight, tokens in zip(weights, support.tokens)])


@MODELS.register_module()
class PrototypeMaps(BaseModule):
    """How alike query patches are to the support's object, and to its surroundings.

    Our addition. For every block the cosines of each query patch with two prototypes,
    the support's mean tokens inside and outside its mask (as the prototypes of PANet,
    Wang et al., ICCV 2019, and the prior masks of PFENet, Tian et al., TPAMI 2020),
    standardised over the training pairs. They go round the neck, whose GroupNorms
    remove how alike two images are as a whole, to both heads. No parameters, no
    gradient.

    Args:
        num_layers (int): blocks of the backbone, L.
    """

    def __init__(self, num_layers: int) -> None:
        super().__init__()
        self.out_channels = 2 * num_layers
        self.moments = RunningMoments(self.out_channels)

    @staticmethod
    def cosines(query: Tensor, prototypes: Tensor) -> Tensor:
        """Of patches, (L, hw, C), with prototypes, (L, 2, C): (2 * L, hw)."""
        with torch.autocast(query.device.type, enabled=False):
            query = query.float()
            cosines = F.normalize(prototypes, dim=-1) @ query.transpose(1, 2)
            cosines /= query.norm(dim=-1).clamp_min(1e-12).unsqueeze(1)
        return cosines.transpose(0, 1).flatten(0, 1)

    @torch.no_grad()
    def forward(self, query: TokenGrid | ViTFeatures, prototypes: Tensor,
                query_of: Sequence[int]) -> Tensor:
        """Maps of P pairs.

        Args:
            query: of Q images.
            prototypes: (P, L, 2, C), see :func:`.support_prototypes`.
            query_of: of every support the number of its query, in 0..Q-1.

        Returns:
            Tensor: (P, 2 * L, h, w), standardised; those of the object first.
        """
        mean, deviation = self.moments.mean_and_deviation()
        maps = []
        for number, pair in zip(query_of, prototypes):
            cosines = self.cosines(query.tokens[number, :, 1:], pair)
            if self.training:
                self.moments.note(cosines)
            maps.append((cosines - mean[:, None]) / deviation[:, None])
        if self.training:
            self.moments.learn()
        return torch.stack(maps).unflatten(2, query.grid)
