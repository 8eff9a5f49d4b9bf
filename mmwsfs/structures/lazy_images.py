from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class LazyImage:
    """An image whose pixels are read only when they are asked for.

    Attributes:
        key: identifies file content and transforms; equal keys mean equal pixels.
        size: (height, width) after the transforms.
        read: gives the pixels, (3, height, width) uint8, BGR.
    """

    key: str
    size: tuple[int, int]
    read: Callable[[], Tensor]


class LazyImages:
    """An array of lazy images, in the place of a tensor (..., 3, H, W) of a batch.

    Args:
        images: object array of any shape, of :class:`LazyImage` of one size.
        prepare: pixels of n images, a list of (3, H, W) uint8 -> (n, 3, H, W),
            normalised, on the model's device.

    Raises:
        ValueError: the images differ in size.
    """

    def __init__(self, images: np.ndarray,
                 prepare: Callable[[Sequence[Tensor]], Tensor]) -> None:
        sizes = {image.size for image in images.flat}
        if len(sizes) != 1:
            raise ValueError(
                f'images of one batch differ in size, {sorted(sizes)}: resize them to '
                'one size (keep_ratio=False)')
        self.images = images
        self.prepare = prepare
        self.shape = torch.Size((*images.shape, 3, *sizes.pop()))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(
            self, index: int | slice | Sequence[int] | np.ndarray) -> LazyImages:
        return LazyImages(self.images[index], self.prepare)

    def flatten(self) -> LazyImages:
        """All images in one axis."""
        return LazyImages(self.images.reshape(-1), self.prepare)

    def keys(self) -> list[str]:
        """Keys of the images of a flat array."""
        return [image.key for image in self.images]

    def load(self) -> Tensor:
        """Read a flat array: (n, 3, H, W), normalised."""
        return self.prepare([image.read() for image in self.images])

    @classmethod
    def cat(cls, parts: Sequence[LazyImages]) -> LazyImages:
        """Join flat arrays."""
        return cls(np.concatenate([part.images for part in parts]), parts[0].prepare)


def distinct_images(images: Tensor | LazyImages) -> tuple[list[int], list[int]]:
    """Which of B images are the first of their kind.

    Args:
        images: (B, 3, H, W), of which equal pixels are equal images, or a flat array
            of lazy ones, of which equal keys are.

    Returns:
        tuple: the positions of the first ones, and for every image the number, in that
        list, of the one it equals.
    """
    same: list[str | int]
    if isinstance(images, LazyImages):
        same = [*images.keys()]
    else:
        sums = images.flatten(1).double().sum(dim=1).tolist()
        same = []
        for position, total in enumerate(sums):
            same.append(next(
                (other for other in range(position) if sums[other] == total
                 and torch.equal(images[other], images[position])), position))
    numbers: dict[str | int, int] = {}
    index = [numbers.setdefault(key, len(numbers)) for key in same]
    return [index.index(number) for number in range(len(numbers))], index
