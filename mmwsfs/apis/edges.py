"""Masks whose edges follow the photograph's colours."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_SIDE = 256  # pixels
_ITERATIONS = 10
_DILATIONS = (1, 2, 4, 8)  # pixels, at the working size
_REACH = max(_DILATIONS)
_BANDWIDTH = 0.3
_SHIFTS = [(y * dilation, x * dilation) for dilation in _DILATIONS
           for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x]


def _neighbours(values: Tensor) -> Tensor:
    """The 32 neighbours of every pixel, those beyond the rim being the rim's.

    Args:
        values: (C, h, w).

    Returns:
        Tensor: (32, C, h, w)
    """
    height, width = values.shape[1:]
    padded = F.pad(values[None], [_REACH] * 4, mode='replicate')[0]
    return torch.stack([
        padded[:, _REACH + y:_REACH + y + height, _REACH + x:_REACH + x + width]
        for y, x in _SHIFTS])


@torch.no_grad()
def refine_edges(image: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Let probabilities follow the colours of their photograph.

    A model's probabilities come from a grid of patches, and blur over edges. Here every
    pixel takes the mean of its neighbours at 1, 2, 4 and 8 pixels, weighted by how like
    its own their colours are, ten times (PAMR, Araslanov and Roth, CVPR 2020; PAR, Ru
    et al., CVPR 2022). A larger photograph is worked on at 256 pixels of its longer
    side, and the result is interpolated.

    Args:
        image: (H, W, 3) uint8, RGB, H and W at least 1.
        probs: (N, H, W) float32 in 0..1, of N classes, each on its own.

    Returns:
        np.ndarray: (N, H, W) float32 in 0..1, anew.

    Raises:
        ValueError: image and probabilities are not of one size.
    """
    height, width = image.shape[:2]
    if probs.shape[1:] != (height, width):
        raise ValueError(
            f'the image is {height}x{width} pixels, but probs are of shape '
            f'{probs.shape}: give (N, {height}, {width})')
    scale = min(1.0, _SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(
        np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)
    colours = torch.from_numpy(small).permute(2, 0, 1).float()
    around = _neighbours(colours)
    distances = (around - colours) / (_BANDWIDTH * around.std(0) + 1e-6)
    weights = (-distances.square().mean(1)).softmax(0)
    refined = np.empty(probs.shape, np.float32)
    for before, after in zip(probs, refined):
        values = torch.from_numpy(
            cv2.resize(before, size, interpolation=cv2.INTER_AREA))
        for _ in range(_ITERATIONS):
            values = (_neighbours(values[None])[:, 0] * weights).sum(0)
        after[:] = cv2.resize(
            values.numpy(), (width, height), interpolation=cv2.INTER_LINEAR)
    return refined.clip(0, 1, out=refined)  # means are beyond by rounding
