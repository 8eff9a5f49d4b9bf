from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class RotaryPosition(nn.Module):
    """Rotary position embedding of patches by their place in the image (DINOv3).

    The centre of patch i of H is at (i + 0.5) / H, brought to -1..1; an angle is 2 pi
    times the place over a period, for both axes, and the D / 4 periods of each go from
    1 to ``base``. Two halves of a vector are rotated against each other.

    Args:
        head_dim (int): D, a multiple of 4.
        base (float): the largest period. Defaults to 100.

    Attributes:
        periods: (D / 4,) float32, a buffer. The authors' files hold it rounded to
            bfloat16, and it is taken from them as it is; files of timm and of
            transformers leave it out, and here, as there, it is then computed in
            float32 and not rounded.
    """

    periods: Tensor

    def __init__(self, head_dim: int, base: float = 100.) -> None:
        super().__init__()
        exponents = 2 * torch.arange(head_dim // 4, dtype=torch.float32) / (
            head_dim // 2)
        self.register_buffer('periods', base**exponents)

    def forward(self, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Cosine and sine of every patch's angles, (hw, D) float32 each.

        Args:
            grid: (h, w).
        """
        periods = self.periods.float()
        rows, columns = (
            2 * (torch.arange(side, device=periods.device) + 0.5) / side - 1
            for side in grid)
        places = torch.stack(torch.meshgrid(rows, columns, indexing='ij'), dim=-1)
        angles = 2 * math.pi * places.flatten(0, 1)[:, :, None] / periods
        angles = angles.flatten(1).tile(2)
        return angles.cos(), angles.sin()


def rotate(tokens: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate the last hw of (B, H, T, D) tokens; those before, CLS and registers, have
    no place.

    Args:
        tokens: queries or keys.
        angles: of :class:`RotaryPosition`.
    """
    cos, sin = angles
    extra = tokens.shape[2] - len(cos)
    patches = tokens[:, :, extra:].float()
    first, second = patches.chunk(2, dim=-1)
    patches = patches * cos + torch.cat([-second, first], dim=-1) * sin
    return torch.cat([tokens[:, :, :extra], patches.to(tokens.dtype)], dim=2)
