from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mmwsfs.datasets.few_shot_dataset import FewShotDataset
from mmwsfs.models import AttentionLabeler, DiscriminantMetric
from mmwsfs.models.necks.discriminant_metric import MetricSums
from mmwsfs.structures import LazyImage, ViTFeatures

from .enhancer_examples import listed_classes
from .patch_shares import patch_shares


class MetricFitter:
    """Fits a :class:`DiscriminantMetric` to the training images, each read once.

    An image's objects are those of its tags: by its mask where it carries one, else by
    the labeler, which is told the class.

    Args:
        metric: to be fitted.
        labeler: makes the pseudo-masks; None where all images carry masks.
        dataset: the training images.
        extract: features of one image.
    """

    def __init__(self, metric: DiscriminantMetric, labeler: AttentionLabeler | None,
                 dataset: FewShotDataset,
                 extract: Callable[[LazyImage], ViTFeatures]) -> None:
        self.metric = metric
        self.labeler = labeler
        self.dataset = dataset
        self.extract = extract
        self.classes = listed_classes(dataset)
        layers, width = metric.matrix.shape[:2]
        self.sums = MetricSums(
            layers, width, max(entry['class_id'] for entry in dataset.data_list))

    @torch.no_grad()
    def fit(self) -> int:
        """Fit to all images.

        Returns:
            int: how many of them carry masks.

        Raises:
            ValueError: an image carries no mask and there is no labeler, or all
                objects are of one class.
        """
        masked = sum(self._add(name) for name in sorted(self.classes))
        self.metric.fit(self.sums)
        return masked

    def _add(self, name: str) -> bool:
        """Take an image in; whether it carries a mask."""
        image = self.dataset.read_image(name)
        features = self.extract(image['img'])
        tokens = features.tokens[0]
        self.sums.add_image(tokens)
        classes, masked = self.classes[name], 'gt_seg_map' in image
        if masked:
            objects, valid = patch_shares(image, classes, features.grid)
        else:
            objects = self._label(name, features, classes)
            valid = torch.ones(objects.shape[1])
        objects, valid = objects.to(tokens.device), valid.to(tokens.device)
        background = (valid - objects.sum(dim=0)).clamp_min(0)
        for number, shares in zip((0, *classes), (background, *objects)):
            self.sums.add_object(tokens[:, 1:], shares, number)
        return masked

    def _label(self, name: str, features: ViTFeatures, classes: list[int]) -> Tensor:
        """Pseudo-masks of an image's classes, as a support, (N, hw) of 0 and 1."""
        if self.labeler is None:
            raise ValueError(
                f"image '{name}' carries no mask, and the model has no labeler to make "
                'one: set model.labeler, or load masks')
        device = features.tokens.device
        return torch.cat([
            self.labeler(
                features, features, features.grid,
                torch.tensor([number], device=device)).flatten(1).float()
            for number in classes])
