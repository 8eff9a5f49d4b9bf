"""What a part of a model gets that learns from the training images before training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor

from .vit_features import ViTFeatures


@dataclass(frozen=True)
class TrainingImage:
    """One training image with its N classes, by the lists, on h x w patches.

    Attributes:
        classes: N class numbers, from 1.
        features: of a batch of one.
        shares: (N, hw) float in 0..1, how much of every patch each class covers: by
            the image's mask or, where it carries none, by its pseudo-masks.
        valid: (hw,) float in 0..1, the share of every patch that is not void.
        masks: (N, H, W) uint8, 1 = the class, 0 = other, 255 = void; None where the
            image carries no mask.
    """

    classes: Sequence[int]
    features: ViTFeatures
    shares: Tensor
    valid: Tensor
    masks: Tensor | None


class TrainingImages(Protocol):
    """The training images by name."""

    @property
    def classes(self) -> Mapping[str, Sequence[int]]:
        """Name -> class numbers by the lists, each once."""

    @property
    def images_of(self) -> Mapping[int, Sequence[str]]:
        """Class number -> names of its images, each once, in the lists' order."""

    @property
    def num_classes(self) -> int:
        """Of the data set, whose classes have the numbers 1..num_classes."""

    @property
    def masked(self) -> Sequence[str]:
        """Sorted names of the images that carry masks."""

    def known_classes(self, name: str) -> Sequence[int]:
        """The class numbers of which it is known whether an image shows them."""

    def features(self, name: str) -> ViTFeatures:
        """Of one image, a batch of one."""

    def __getitem__(self, name: str) -> TrainingImage:
        """An image with its labels."""


@dataclass(frozen=True)
class Fitting:
    """The stage before training, for a part that learns in it by ``fit_to(fitting)``.

    Attributes:
        images: to learn from.
        seed: of whatever is drawn.
        folder: for files, the run's work dir.
        resume: whether a state file in the folder is to be continued.
        key: identifies backbone, images, masks and seed: of a state file.
        report: takes a line for the log, then scalars by name and their step.
    """

    images: TrainingImages
    seed: int
    folder: Path
    resume: bool
    key: str
    report: Callable[..., None]
