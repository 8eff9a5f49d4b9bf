from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from mmwsfs.structures import VOID


@dataclass(frozen=True)
class SupportSet:
    """What is kept of N classes of K images each; K may differ.

    Attributes:
        names: of the classes.
        shots: K of every class, then 1 for every negative.
        negative_of: of every negative the number of its class, 0..N-1.
        embedded: what the model keeps of all images, class by class, then of the
            negatives (:meth:`.EpisodeSegmentor.embed_supports`).
        pictures: N x K thumbnails, (h, w, 3) uint8, RGB.
        paths: the files of the images, class by class, then of the negatives; None
            for one in memory.
    """

    names: list[str]
    shots: list[int]
    negative_of: list[int]
    embedded: Any
    pictures: list[list[np.ndarray]]
    paths: list[str | None]

    @property
    def masks(self) -> Sequence[Tensor]:
        """N of (K, h, w) bool, those of the supports that the model uses."""
        return self.embedded.masks.cpu().split(self.shots)[:len(self.names)]

    @property
    def support_paths(self) -> dict[str, list[str | None]]:
        """Class name -> the files of its K supports."""
        paths = iter(self.paths)
        return {name: [next(paths) for _ in range(shot)]
                for name, shot in zip(self.names, self.shots)}

    @property
    def negative_paths(self) -> dict[str, list[str | None]]:
        """Class name -> the files of its negatives, where it has some."""
        files = self.paths[len(self.paths) - len(self.negative_of):]
        found: dict[str, list[str | None]] = {}
        for way, path in zip(self.negative_of, files):
            found.setdefault(self.names[way], []).append(path)
        return found


def check_supports(supports: Mapping[str, Sequence]) -> None:
    """Raise a ValueError where there are no classes or too many, or one without
    images."""
    if not supports:
        raise ValueError('no supports: give at least one class with an image')
    if len(supports) >= VOID:
        raise ValueError(
            f'{len(supports)} classes are too many for a label map: give at most '
            f'{VOID - 1}')
    empty = [name for name, images in supports.items() if not images]
    if empty:
        raise ValueError(f"class '{empty[0]}' has no support images")


def check_classes(given: Mapping[str, Any], supports: Mapping[str, Any],
                  what: str) -> None:
    """Raise a ValueError where something is given for a class without supports."""
    unknown = sorted(given.keys() - supports.keys())
    if unknown:
        raise ValueError(
            f"{what} for class '{unknown[0]}', which has no support images: the "
            f'classes are {list(supports)}')


def complete_masks(supports: Mapping[str, Sequence], masks: Mapping[str, list],
                   supervision: str) -> dict[str, list]:
    """The masks of every class, None where an image has none.

    Args:
        supports: class name -> its images.
        masks: class name -> a mask or None for each, of the classes that have some.
        supervision: the model's.

    Raises:
        ValueError: they are not as many as the images, or missing.
    """
    complete = {}
    for name, images in supports.items():
        complete[name] = masks.get(name, [None] * len(images))
        if len(complete[name]) != len(images):
            raise ValueError(
                f"class '{name}' has {len(images)} support images, but "
                f'{len(complete[name])} masks: give one for each, or None')
        if supervision == 'pixel' and any(mask is None for mask in complete[name]):
            raise ValueError(
                f"class '{name}' has support images without a mask, which a model "
                'trained with masks needs: give masks, or take a config of '
                "model.supervision='image' and its checkpoint")
    return complete
