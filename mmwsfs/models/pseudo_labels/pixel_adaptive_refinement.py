from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from mmwsfs.registry import MODELS

_OFFSETS = tuple(
    (dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0))


@MODELS.register_module()
class PixelAdaptiveRefinement(BaseModule):
    """Lets soft maps follow the colours of their images; learns nothing.

    Every pixel takes, again and again, the weighted mean of its neighbours, of which
    those of like colour count more: PAMR (Araslanov and Roth, CVPR 2020) and PAR (Ru et
    al., CVPR 2022). The weights of a pixel's neighbours are the softmax of
    ``-((difference / (bandwidth * deviation))^2)``, mean over the channels, where the
    deviation is that of the neighbours' values.

    Args:
        dilations (Sequence[int]): distances of the neighbours in pixels; 8 at each.
            Defaults to (1, 2, 4, 8).
        num_iters (int): Defaults to 5.
        bandwidth (float): in deviations; the smaller, the sharper. Defaults to 0.3.
    """

    def __init__(self,
                 dilations: Sequence[int] = (1, 2, 4, 8),
                 num_iters: int = 5,
                 bandwidth: float = 0.3) -> None:
        super().__init__()
        self.dilations = tuple(dilations)
        self.num_iters = num_iters
        self.bandwidth = bandwidth

    def _neighbours(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 8 * dilations, H, W); edges are repeated."""
        height, width = x.shape[-2:]
        reach = max(self.dilations)
        padded = F.pad(x, [reach] * 4, mode='replicate')
        return torch.stack([
            padded[..., reach + d * dy:reach + d * dy + height,
                   reach + d * dx:reach + d * dx + width]
            for d in self.dilations for dy, dx in _OFFSETS], dim=2)

    def affinity(self, image: Tensor) -> Tensor:
        """Weights of every pixel's neighbours, of sum 1.

        Args:
            image: (B, C, H, W), any range.

        Returns:
            Tensor: (B, 8 * dilations, H, W).
        """
        neighbours = self._neighbours(image)
        # Tensor.std over an inner axis takes ten times as long.
        offset = neighbours - neighbours.mean(dim=2, keepdim=True)
        variance = offset.square_().sum(dim=2, keepdim=True) / (offset.shape[2] - 1)
        scale = self.bandwidth * variance.sqrt() + 1e-6
        distance = neighbours.sub_(image.unsqueeze(2)).div_(scale)
        return (-distance.square_().mean(dim=1)).softmax(dim=1)

    def forward(self, maps: Tensor, image: Tensor) -> Tensor:
        """Refine maps, (B, H, W), by images of their size, (B, C, H, W).

        Returns:
            Tensor: (B, H, W) float, within the range of ``maps``.
        """
        with torch.autocast(maps.device.type, enabled=False):
            affinity = self.affinity(image.float())
            maps = maps.float().unsqueeze(1)
            for _ in range(self.num_iters):
                maps = (self._neighbours(maps)[:, 0] * affinity).sum(
                    dim=1, keepdim=True)
            return maps.squeeze(1)
