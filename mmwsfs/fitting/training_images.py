from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmwsfs.datasets.few_shot_concat import FewShotConcatDataset
from mmwsfs.datasets.few_shot_dataset import FewShotDataset
from mmwsfs.datasets.transforms.pack_episode_inputs import class_pixels
from mmwsfs.structures import VOID, LazyImage, TrainingImage, ViTFeatures

KEPT_BYTES = 2**31  # of features, where the model caches none


class LabelledImages:
    """The images of a training dataset with their features and labels.

    The one source of what learns before training, see
    :class:`~mmwsfs.structures.TrainingImages`. An image goes through the backbone once:
    the model's feature cache sees to it or, where there is none, features are kept here
    up to 2 GiB. A class's share of a patch is by the image's mask or, where it carries
    none, by the labeler's pseudo-mask, which is told the class.

    Args:
        dataset: the training images.
        extract: features of a lazy image.
        label: (features, size, class) -> pseudo-mask, ``(1, *size)`` bool; None where
            all images carry masks.
        cached: ``extract`` keeps features itself.
    """

    def __init__(self, dataset: FewShotDataset | FewShotConcatDataset,
                 extract: Callable[[LazyImage], ViTFeatures],
                 label: Callable[[ViTFeatures, tuple[int, int], int], Tensor] | None,
                 cached: bool) -> None:
        self.dataset = dataset
        self.extract = extract
        self.label = label
        self.cached = cached
        if isinstance(dataset, FewShotDataset):
            dataset.full_init()
        classes: dict[str, dict[int, None]] = {}
        for entry in dataset.data_list:
            classes.setdefault(entry['name'], {})[entry['class_id']] = None
        self.classes = {name: list(numbers) for name, numbers in classes.items()}
        self.images_of = {
            number: list(dict.fromkeys(names))
            for number, names in dataset.images_of.items()}
        self.num_classes = len(dataset.metainfo['classes'])
        masked = dataset.masked_images
        self.masked = sorted(self.classes) if masked is None else masked
        self._kept: OrderedDict[str, ViTFeatures] = OrderedDict()
        self._kept_bytes = 0

    def known_classes(self, name: str) -> Sequence[int]:
        """The class numbers of which it is known whether an image shows them."""
        return self.dataset.known_classes(name)

    def features(self, name: str) -> ViTFeatures:
        """Of one image, a batch of one."""
        return self._features(name, self.dataset.read_image(name))

    def _features(self, name: str, image: dict) -> ViTFeatures:
        if name in self._kept:
            return self._kept[name]
        features = self.extract(image['img'])
        if not self.cached:
            self._kept[name] = features
            self._kept_bytes += features.nbytes
            while self._kept_bytes > KEPT_BYTES:
                self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
        return features

    def __getitem__(self, name: str) -> TrainingImage:
        """An image with its labels.

        Raises:
            ValueError: the image carries a mask that the pipeline does not load, or
                carries none and there is no labeler.
        """
        image = self.dataset.read_image(name)
        features = self._features(name, image)
        device = features.tokens.device
        classes = self.classes[name]
        if 'gt_seg_map' in image:
            valid = image['gt_seg_map'] != VOID
            pixels = np.stack([class_pixels(image, number) for number in classes])
            shares = F.adaptive_avg_pool2d(torch.from_numpy(
                np.concatenate([pixels, valid[None]]).astype(np.float32)),
                features.grid).flatten(1).to(device)
            return TrainingImage(
                classes, features, shares[:-1], shares[-1],
                torch.from_numpy(np.where(valid, pixels, VOID).astype(np.uint8)))
        if name in self.masked:
            raise ValueError(
                f"image '{name}' carries a mask, but the pipeline of the training data "
                "loads none: add LoadLabelMap, or what loads your masks, to the "
                "EpisodeTransform's query and support")
        if self.label is None:
            raise ValueError(
                f"image '{name}' carries no mask, and the model has no labeler to make "
                'one: set model.labeler, or load masks')
        shares = torch.cat([
            self.label(features, features.grid, number).flatten(1).float()
            for number in classes])
        return TrainingImage(
            classes, features, shares, torch.ones_like(shares[0]), None)
