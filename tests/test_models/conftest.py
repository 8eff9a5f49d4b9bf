"""One thread: tensors of this size gain nothing from more, and lose to waiting.

And training images that are made, for the parts that learn before training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from mmwsfs.structures import Fitting, TrainingImage


@pytest.fixture(scope='package', autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class MadeImages(dict):
    """Training images by name: what :class:`mmwsfs.structures.TrainingImages` asks."""

    def __init__(self, images: Mapping[str, TrainingImage], num_classes: int) -> None:
        super().__init__(images)
        self.num_classes = num_classes
        self.classes = {name: image.classes for name, image in images.items()}
        self.images_of: dict[int, list[str]] = {}
        for name, numbers in self.classes.items():
            for number in numbers:
                self.images_of.setdefault(number, []).append(name)
        self.masked = sorted(
            name for name, image in images.items() if image.masks is not None)

    def known_classes(self, name: str) -> range:
        return range(1, self.num_classes + 1)

    def features(self, name: str):
        return self[name].features


@pytest.fixture
def make_fitting(tmp_path: Path) -> Callable[..., tuple[Fitting, list[tuple]]]:
    """Makes a stage before training on made images, and the list of its reports."""
    def make(images: Mapping[str, TrainingImage], num_classes: int,
             **kwargs) -> tuple[Fitting, list[tuple]]:
        reports: list[tuple] = []
        settings = dict(
            seed=0, folder=tmp_path, resume=False, key='a',
            report=lambda *args: reports.append(args))
        return Fitting(
            MadeImages(images, num_classes), **{**settings, **kwargs}), reports
    return make
