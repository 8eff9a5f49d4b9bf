from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmwsfs.datasets.few_shot_dataset import FewShotDataset
from mmwsfs.datasets.transforms.pack_episode_inputs import class_pixels
from mmwsfs.models.pseudo_labels import EnhancedLabeler
from mmwsfs.structures import VOID, LazyImage, ViTFeatures


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
        thumbnails: (E, 3, 4 * h, 4 * w) half, for a labeler that refines, else None.
    """

    maps: Tensor
    entry: Tensor
    is_query: Tensor
    masks: Tensor
    thumbnails: Tensor | None

    def targets(self) -> tuple[Tensor, Tensor]:
        """Of every entry and patch the object's share of the pixels that are not void,
        and their share of all pixels: (E, h, w) in 0..1 both."""
        grid = tuple(self.maps.shape[-2:])
        valid = F.adaptive_avg_pool2d((self.masks != VOID).float(), grid)
        inside = F.adaptive_avg_pool2d((self.masks == 1).float(), grid)
        return inside / valid.clamp_min(1e-6), valid


def listed_classes(dataset: FewShotDataset) -> dict[str, list[int]]:
    """Image name -> its classes in the lists, each once."""
    classes: dict[str, dict[int, None]] = {}
    for entry in dataset.data_list:
        classes.setdefault(entry['name'], {})[entry['class_id']] = None
    return {name: list(numbers) for name, numbers in classes.items()}


class ExampleMaker:
    """Puts each image through the backbone once and keeps its head maps only.

    The queries' maps come from a pool of supports of every class, drawn among all of
    its images: what makes a support needs no mask.

    Args:
        dataset: the training images.
        labeler: makes the head maps.
        extract: features of one image.
        partners: supports of the pool of a class, at most.
        seed: of the draw.
    """

    def __init__(self, dataset: FewShotDataset, labeler: EnhancedLabeler,
                 extract: Callable[[LazyImage], ViTFeatures], partners: int,
                 seed: int) -> None:
        self.dataset = dataset
        self.labeler = labeler
        self.extract = extract
        rng = np.random.RandomState(seed)
        self.pool = {
            number: [names[i] for i in rng.permutation(len(names))[:partners]]
            for number, names in (
                (number, list(dict.fromkeys(images)))
                for number, images in sorted(dataset.images_of.items()))}
        # Of the pool the keys are kept as well: its images may carry masks.
        self._known = {
            name: self._features(name)
            for name in dict.fromkeys(sum(self.pool.values(), []))}

    def _features(self, name: str) -> ViTFeatures:
        features = self.extract(self.dataset.read_image(name)['img'])
        return replace(
            features, tokens=features.tokens[:, :, :0].clone(),
            queries=features.queries[:, :, :1].clone(), keys=features.keys.clone())

    def make(self, names: list[str]) -> Examples:
        """Examples of images that carry masks.

        Raises:
            ValueError: the pipeline loads no masks.
        """
        classes = listed_classes(self.dataset)
        maps, entries, is_query, masks, thumbnails = [], [], [], [], []
        for name in names:
            own = self._known[name] if name in self._known else self._features(name)
            image = self.dataset.read_image(name)
            if 'gt_seg_map' not in image:
                raise ValueError(
                    f"image '{name}' carries a mask, but the pipeline of the training "
                    'data loads none: add LoadLabelMap, or what loads your masks, to '
                    "the EpisodeTransform's query and support")
            for number in classes[name]:
                supports = [own, *(self._known[other] for other in self.pool[number]
                                   if other != name)]
                maps.append(torch.cat([
                    self.labeler.maps(other, own) for other in supports]))
                entries += [len(masks)] * len(supports)
                if self.labeler.refine is not None:
                    thumbnails.append(own.thumbnail.half())
                is_query += [False] + [True] * (len(supports) - 1)
                masks.append(torch.from_numpy(np.where(
                    image['gt_seg_map'] == VOID, VOID,
                    class_pixels(image, number)).astype(np.uint8)))
        device = maps[0].device
        return Examples(
            torch.cat(maps), torch.tensor(entries, device=device),
            torch.tensor(is_query, device=device), torch.stack(masks).to(device),
            torch.cat(thumbnails) if thumbnails else None)
