from __future__ import annotations

from collections.abc import Callable

import torch

from mmwsfs.datasets.few_shot_dataset import FewShotDataset
from mmwsfs.datasets.transforms.pack_episode_inputs import class_pixels
from mmwsfs.models.pseudo_labels import ClassProbe, EnhancedLabeler
from mmwsfs.models.pseudo_labels.class_probe import ProbeSums
from mmwsfs.structures import VOID, LazyImage, ViTFeatures

from .enhancer_examples import listed_classes
from .patch_shares import patch_shares


def support_overlap(labeler: EnhancedLabeler, features: ViTFeatures, image: dict,
                    number: int, told: bool) -> tuple[int, int]:
    """Pixels of intersection and union of an image's label as a support and its mask.

    Args:
        labeler: makes the label.
        features: of the image.
        image: with its labels; void is left out.
        number: the class.
        told: whether the labeler is told the class.
    """
    valid = torch.from_numpy(image['gt_seg_map'] != VOID)
    truth = torch.from_numpy(class_pixels(image, number)) & valid
    classes = torch.tensor([number], device=features.tokens.device) if told else None
    mask = labeler(features, features, tuple(valid.shape), classes)[0].cpu() & valid
    return int((mask & truth).sum()), int((mask | truth).sum())


class ProbeFitter:
    """Fits the :class:`ClassProbe` of a labeler to images that carry masks.

    Args:
        labeler: with a probe.
        dataset: the training images.
        extract: features of one image.

    Raises:
        ValueError: the probe is of fewer classes than the training data.
    """

    def __init__(self, labeler: EnhancedLabeler, dataset: FewShotDataset,
                 extract: Callable[[LazyImage], ViTFeatures]) -> None:
        self.labeler = labeler
        self.probe: ClassProbe = labeler.probe
        self.dataset = dataset
        self.extract = extract
        self.classes = listed_classes(dataset)
        num_classes = len(self.probe.known)
        highest = max(entry['class_id'] for entry in dataset.data_list)
        if highest > num_classes:
            raise ValueError(
                f'the training data number their classes up to {highest}, '
                f'model.labeler.probe.num_classes is {num_classes}: set it to '
                f"{len(dataset.metainfo['classes'])}")
        self.sums = ProbeSums(self.probe.planes.shape[1], num_classes)

    @torch.no_grad()
    def fit(self, training: list[str], held_out: list[str]) -> float | None:
        """Fit to ``training``, try on ``held_out``, then fit to both.

        Returns:
            float, optional: IoU in per cent on ``held_out``, as supports: summed over
            all images and their tags, void left out. None if nothing is held out.
        """
        for name in training:
            self._add(name, *self._read(name))
        self.probe.fit(self.sums)
        if not held_out:
            return None
        both = either = 0
        for name in held_out:
            image, features = self._read(name)
            for number in self.classes[name]:
                counts = support_overlap(self.labeler, features, image, number, True)
                both += counts[0]
                either += counts[1]
            self._add(name, image, features)
        self.probe.fit(self.sums)
        return 100 * both / max(either, 1)

    def _read(self, name: str) -> tuple[dict, ViTFeatures]:
        image = self.dataset.read_image(name)
        return image, self.extract(image['img'])

    def _add(self, name: str, image: dict, features: ViTFeatures) -> None:
        """Take an image's patches in."""
        own = self.classes[name]
        inside, valid = patch_shares(image, own, features.grid)
        shares = torch.zeros(len(valid), len(self.probe.known))
        shares[:, [number - 1 for number in own]] = (
            inside / valid.clamp_min(1e-6)).T
        self.sums.add(self.probe.patches(features)[0], shares, valid)
