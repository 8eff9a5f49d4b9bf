from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from mmwsfs.registry import DATASETS
from mmwsfs.structures import VOID, LazyImage
from mmwsfs.utils.files import write_whole

from .episode import EpisodeKey
from .few_shot_dataset import FewShotDataset


@DATASETS.register_module()
class FewShotConcatDataset(Dataset):
    """Training episodes of several data sets, one after the other.

    Query and supports of an episode come from one data set, whose labels are complete
    in it: of a photograph of VOC nobody knows whether it shows a cup, so that no
    episode asks. Classes of one name, in whatever data sets, are one class; they have
    the numbers 1..C in the order in which the data sets name them first, so that those
    of the first one keep theirs. Image names get the number of their data set in front,
    '0/2007_000032'.

    It is for ``train_dataloader``: tests, whose numbers are published by data set, take
    one data set.

    Args:
        datasets (Sequence[dict | FewShotDataset]): data sets of ``split='trn'``.
        same_classes (Mapping[str, str]): class name -> the name that it is to have
            here, where two data sets call one class by different names. Defaults to
            none.

    Attributes:
        data_list: the entries of all, one dict an entry, ``name`` and ``class_id``.
        class_ids: the numbers of the classes that are trained on, ascending.
        images_of: class number -> names of its images, each data set's in its order.
        metainfo: ``classes``, the C names.

    Raises:
        ValueError: there is no data set, or one of another split; a name to be changed
            is no class; one data set has two classes of one name; more than 254
            classes.
    """

    def __init__(self,
                 datasets: Sequence[dict | FewShotDataset],
                 same_classes: Mapping[str, str] | None = None) -> None:
        if not datasets:
            raise ValueError('FewShotConcatDataset.datasets is empty: name some')
        self.datasets: list[FewShotDataset] = [
            DATASETS.build(one) if isinstance(one, dict) else one for one in datasets]
        other = next((one for one in self.datasets if one.split != 'trn'), None)
        if other is not None:
            raise ValueError(
                f'FewShotConcatDataset joins training images, but a '
                f"{type(other).__name__} is of split '{other.split}': test on one data "
                'set by itself')
        for one in self.datasets:
            one.full_init()
        self._number_classes(same_classes or {})
        self._ends = list(accumulate(len(one.data_list) for one in self.datasets))
        self.data_list: list[dict] = [
            dict(name=f'{place}/{entry["name"]}',
                 class_id=int(numbers[entry['class_id']]))
            for place, (one, numbers) in enumerate(zip(self.datasets, self._numbers))
            for entry in one.data_list]
        self.images_of: dict[int, list[str]] = {
            number: [] for number in self.class_ids}
        for entry in self.data_list:
            self.images_of[entry['class_id']].append(entry['name'])

    def _number_classes(self, same_classes: Mapping[str, str]) -> None:
        """Names of all classes and, of every data set, their numbers by its own."""
        names = [one.metainfo['classes'] for one in self.datasets]
        unknown = sorted(set(same_classes).difference(*names))
        if unknown:
            raise ValueError(
                f'same_classes names {unknown}, which no data set has as a class')
        renamed = [[same_classes.get(name, name) for name in own] for own in names]
        for own in renamed:
            twice = next((name for name in own if own.count(name) > 1), None)
            if twice is not None:
                raise ValueError(
                    f"one data set has two classes '{twice}' after same_classes: give "
                    'them different names')
        classes = list(dict.fromkeys(sum(renamed, [])))
        if len(classes) >= VOID:
            raise ValueError(
                f'{len(classes)} classes are more than a label map holds, {VOID - 1}: '
                'join fewer data sets')
        # [own number] -> number here; 0, background, and void stay what they are.
        self._numbers = [
            np.arange(VOID + 1, dtype=np.uint8) for _ in self.datasets]
        for table, own in zip(self._numbers, renamed):
            table[1:len(own) + 1] = [classes.index(name) + 1 for name in own]
        self._numbers_known = [
            table[one.class_ids].tolist()
            for table, one in zip(self._numbers, self.datasets)]
        self.class_ids: list[int] = sorted(set(sum(self._numbers_known, [])))
        self.metainfo = dict(classes=tuple(classes), class_ids=self.class_ids)

    def __len__(self) -> int:
        return len(self.data_list)

    def _source(self, name: str) -> tuple[int, str]:
        """The place of an image's data set, and its name there."""
        place, _, own = name.partition('/')
        return int(place), own

    def __getitem__(self, key: int | EpisodeKey) -> dict:
        """The episode of a key, as its query's data set packs it, with the classes'
        numbers here. A number j is the data set's episode whose query is entry j.
        """
        query = key.query if isinstance(key, EpisodeKey) else key
        place = bisect_right(self._ends, query)
        own = query - (self._ends[place - 1] if place else 0)
        packed = self.datasets[place][
            key._replace(query=own) if isinstance(key, EpisodeKey) else own]
        sample = packed['data_samples']
        sample.set_metainfo(dict(
            class_ids=self._numbers[place][sample.class_ids].tolist()))
        return packed

    # ------------------------------------------------------------ images by themselves
    def known_classes(self, name: str) -> list[int]:
        """As :meth:`.FewShotDataset.known_classes`: those of the image's data set."""
        return self._numbers_known[self._source(name)[0]]

    @property
    def masked_images(self) -> list[str] | None:
        """Sorted names of the images that carry masks, None where all do."""
        masked = [one.masked_images for one in self.datasets]
        if all(names is None for names in masked):
            return None
        return sorted(
            f'{place}/{name}' for place, (one, names) in enumerate(
                zip(self.datasets, masked))
            for name in (one.labels_of if names is None else names))

    def export_masked_images(self, path: str | Path) -> None:
        """Write the names of the images that carry masks, one a line."""
        masked = self.masked_images
        if masked is None:
            masked = sorted({entry['name'] for entry in self.data_list})
        write_whole(Path(path), ''.join(f'{name}\n' for name in masked))

    def read_lazily(self) -> bool:
        """As :meth:`.FewShotDataset.read_lazily`: all, or none of them."""
        return all(one.can_be_lazy for one in self.datasets) and all(
            [one.read_lazily() for one in self.datasets])

    def lazy_images(self) -> list[LazyImage]:
        """The images of all entries, each once."""
        return list({
            image.key: image for one in self.datasets
            for image in one.lazy_images()}.values())

    def read_image(self, name: str) -> dict:
        """As :meth:`.FewShotDataset.read_image`, labels by the classes' numbers here.
        """
        place, own = self._source(name)
        image: dict[str, Any] = self.datasets[place].read_image(own)
        table = self._numbers[place]
        image['labels'] = table[image['labels']].tolist()
        if 'object_class' in image:  # a mask of 0, 1 and void
            image['object_class'] = int(table[image['object_class']])
        elif 'gt_seg_map' in image:
            image['gt_seg_map'] = table[image['gt_seg_map']]
        if 'seg_labels' in image:
            image['seg_labels'] = set(table[sorted(image['seg_labels'])].tolist())
        return image
