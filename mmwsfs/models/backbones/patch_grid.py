from __future__ import annotations

from torch import Tensor


def patch_grid(images: Tensor, patch_size: int) -> tuple[int, int]:
    """How many patches images are cut into, (rows, columns).

    Args:
        images: (B, 3, H, W).
        patch_size: side of a patch in pixels.

    Raises:
        ValueError: a side of the images is no multiple of it.
    """
    height, width = images.shape[-2:]
    rows, columns = height // patch_size, width // patch_size
    if not rows or not columns or (height, width) != (
            rows * patch_size, columns * patch_size):
        raise ValueError(
            f'images of {height}x{width} pixels cannot be cut into patches of '
            f'{patch_size}x{patch_size}: set img_size of the datasets, or the Resize '
            f'scale of the pipeline, to a multiple of {patch_size}')
    return rows, columns
