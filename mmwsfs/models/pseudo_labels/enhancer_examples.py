from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmwsfs.structures import VOID, TrainingImages, ViTFeatures

from .attention_labeler import AttentionLabeler


@dataclass
class Examples:
    """Head maps of images that carry masks, and what is to be made of them.

    P maps of E (image, class) entries: each entry's map by the image's own CLS query,
    its role as a support, and maps by supports of the class, its role as a query.

    Attributes:
        maps: (P, H, h, w) float in -1..1.
        entry: (P,) int, the entry of every map.
        is_query: (P,) bool.
        masks: (E, H, W) uint8: 1 = object, 0 = background, 255 = void.
    """

    maps: Tensor
    entry: Tensor
    is_query: Tensor
    masks: Tensor

    def targets(self) -> tuple[Tensor, Tensor]:
        """Of every entry and patch the object's share of the pixels that are not void,
        and their share of all pixels: (E, h, w) in 0..1 both."""
        height, width = self.maps.shape[-2:]
        grid = (height, width)
        valid = F.adaptive_avg_pool2d((self.masks != VOID).float(), grid)
        inside = F.adaptive_avg_pool2d((self.masks == 1).float(), grid)
        return inside / valid.clamp_min(1e-6), valid


class ExampleMaker:
    """Makes examples, of whose images it keeps the head maps only.

    The queries' maps come from a pool of supports of every class, drawn among all of
    its images: what makes a support needs no mask.

    Args:
        images: the training images.
        labeler: makes the head maps.
        partners: supports of the pool of a class, at most.
        seed: of the draw.
    """

    def __init__(self, images: TrainingImages, labeler: AttentionLabeler,
                 partners: int, seed: int) -> None:
        self.images = images
        self.labeler = labeler
        rng = np.random.RandomState(seed)
        self.pool = {
            number: [names[i] for i in rng.permutation(len(names))[:partners]]
            for number, names in sorted(images.images_of.items())}
        # Of the pool CLS's query and the keys are enough.
        self._supports = {
            name: images.features(name).without_tokens()
            for name in dict.fromkeys(sum(self.pool.values(), []))}

    @torch.no_grad()
    def make(self, names: Sequence[str]) -> Examples:
        """Examples of images that carry masks."""
        maps: list[Tensor] = []
        entries: list[int] = []
        is_query: list[bool] = []
        masks: list[Tensor] = []
        for name in names:
            image = self.images[name]
            assert image.masks is not None  # the names are of those that carry one
            for number, mask in zip(image.classes, image.masks):
                supports: list[ViTFeatures] = [image.features, *(
                    self._supports[other] for other in self.pool[number]
                    if other != name)]
                maps += [self.labeler.maps(support, image.features)
                         for support in supports]
                entries += [len(masks)] * len(supports)
                is_query += [False] + [True] * (len(supports) - 1)
                masks.append(mask)
        device = maps[0].device
        return Examples(
            torch.cat(maps), torch.tensor(entries, device=device),
            torch.tensor(is_query, device=device), torch.stack(masks).to(device))
