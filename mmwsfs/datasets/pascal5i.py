from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.fileio import load
from mmengine.utils import is_abs
from mmseg.utils import get_classes, get_palette

from mmwsfs.registry import DATASETS

from .episode import Episode, EpisodeKey, draw_classes, draw_supports
from .split_lists import FOLDS, fold_classes, read_split_list


@DATASETS.register_module()
class Pascal5iDataset(BaseDataset):
    """Episodes of Pascal-5i: VOC 2012 images by HSNet-format lists of ``name__class``.

    Training (``split='trn'``) reads the trn lists of the other three folds, testing
    (``split='val'``) the val list of the fold. An item is an episode: item j is drawn
    with ``RandomState(j)`` and has the j-th entry, modulo the list's length, as its
    query; an :class:`EpisodeKey`, as the samplers give it, names both explicitly.

    Args:
        fold (int): the fold held out, 0..3.
        split (str): 'trn' or 'val'.
        lists (str): folder with ``trn/fold*.txt`` and ``val/fold*.txt``, relative to
            ``data_root``.
        way (int): N. Defaults to 1.
        shot (int): K. Defaults to 1.
        num_episodes (int, optional): length of the dataset. Defaults to None, the
            number of entries in the lists.
        with_masks (bool): whether the images come with masks. If not, no mask file is
            looked at, and the class labels are the lists' or ``image_labels``'.
            Defaults to True.
        image_labels (str, optional): JSON file of image name -> list of class names,
            relative to ``data_root``; used instead of the lists' labels. Defaults to
            None.
        data_prefix (dict): folders of images and masks under ``data_root``.
        img_suffix (str): Defaults to '.jpg'.
        seg_map_suffix (str): Defaults to '.png'.
        **kwargs: further arguments of MMEngine's ``BaseDataset``: ``data_root``,
            ``pipeline``, ``metainfo`` with other ``classes``, ...

    Raises:
        ValueError: unknown fold or split; an empty list; a class with fewer than
            K + 1 images; more ways than classes.
        FileNotFoundError: a list is missing, or an image or mask that it names.
    """

    METAINFO = dict(
        classes=tuple(get_classes('voc')[1:]), palette=get_palette('voc')[1:])

    def __init__(self,
                 *,
                 fold: int,
                 split: str,
                 lists: str,
                 way: int = 1,
                 shot: int = 1,
                 num_episodes: int | None = None,
                 with_masks: bool = True,
                 image_labels: str | None = None,
                 data_prefix: dict = dict(
                     img_path='VOCdevkit/VOC2012/JPEGImages',
                     seg_map_path='VOCdevkit/VOC2012/SegmentationClassAug'),
                 img_suffix: str = '.jpg',
                 seg_map_suffix: str = '.png',
                 **kwargs) -> None:
        if split not in ('trn', 'val'):
            raise ValueError(f"unknown split {split!r}: choose 'trn' or 'val'")
        if shot < 1:
            raise ValueError(f'shot={shot}: an episode needs at least one support')
        if num_episodes is not None and num_episodes < 1:
            raise ValueError(
                f'num_episodes={num_episodes}: give at least 1, or None for one '
                'episode an entry of the lists')
        self.fold = fold
        self.split = split
        self.lists = lists
        self.way = way
        self.shot = shot
        self.num_episodes = num_episodes
        self.with_masks = with_masks
        self.image_labels = image_labels
        self.img_suffix = img_suffix
        self.seg_map_suffix = seg_map_suffix
        super().__init__(
            data_prefix=data_prefix, serialize_data=False, test_mode=split == 'val',
            **kwargs)

    def full_init(self) -> None:
        """Read the lists and check them against the folders."""
        if self._fully_initialized:
            return
        num_classes = len(self.metainfo['classes'])
        held_out = fold_classes(self.fold, num_classes)
        if self.split == 'val':
            self.class_ids = list(held_out)
        else:
            self.class_ids = [
                number for number in range(1, num_classes + 1)
                if number not in held_out]
        self._metainfo.update(
            class_ids=self.class_ids, fold=self.fold, way=self.way, shot=self.shot)
        super().full_init()

    def load_data_list(self) -> list[dict]:
        """One dict an entry of the lists: ``name`` and ``class_id``, all checked."""
        if self.split == 'val':
            folds = [self.fold]
        else:
            folds = [fold for fold in range(FOLDS) if fold != self.fold]
        num_classes = len(self.metainfo['classes'])
        entries = [
            dict(name=name, class_id=class_id) for fold in folds
            for name, class_id in read_split_list(self._list_path(fold), num_classes)]
        self._check_files(entries)
        self.images_of = self._group_by_class(entries)
        self.labels_of = self._labels(entries)
        return entries

    def _under_root(self, path: str) -> Path:
        return Path(path if is_abs(path) else os.path.join(self.data_root, path))

    def _list_path(self, fold: int) -> Path:
        return self._under_root(self.lists) / self.split / f'fold{fold}.txt'

    def _list_names(self) -> str:
        return f'{self._list_path(0).parent}/fold*.txt'

    def _check_files(self, entries: list[dict]) -> None:
        """Every listed image, and mask if masks are read, is there."""
        kinds = [('image', self.data_prefix['img_path'], self.img_suffix)]
        if self.with_masks:
            kinds.append(
                ('mask', self.data_prefix['seg_map_path'], self.seg_map_suffix))
        names = list(dict.fromkeys(entry['name'] for entry in entries))
        for kind, folder, suffix in kinds:
            try:
                present = set(os.listdir(folder))
            except FileNotFoundError:
                raise FileNotFoundError(
                    f"{kind} folder '{folder}' does not exist: set MMWSFS_DATA_ROOT "
                    'or data_root and data_prefix') from None
            missing = [name for name in names if name + suffix not in present]
            if missing:
                raise FileNotFoundError(
                    f"{len(missing)} of {len(names)} {kind}s named by the lists "
                    f"'{self._list_names()}' are not in '{folder}', the first is "
                    f"'{missing[0]}{suffix}': complete the folder, or use lists of "
                    'what is there (tools/dataset_converters/pascal5i.py)')

    def _group_by_class(self, entries: list[dict]) -> dict[int, list[str]]:
        images_of: dict[int, list[str]] = {number: [] for number in self.class_ids}
        for entry in entries:
            images_of[entry['class_id']].append(entry['name'])
        for number, images in images_of.items():
            if len(set(images)) < self.shot + 1:
                raise ValueError(
                    f"class {number} ('{self.metainfo['classes'][number - 1]}') has "
                    f"{len(set(images))} images in the lists '{self._list_names()}', "
                    f'but {self.shot}-shot episodes need at least {self.shot + 1}: '
                    'add images or lower the shot')
        if not 1 <= self.way <= len(images_of):
            raise ValueError(
                f'way={self.way} is not in 1..{len(images_of)}, the number of classes '
                f"in split '{self.split}'")
        return images_of

    def _labels(self, entries: list[dict]) -> dict[str, set[int]]:
        """Image name -> classes: image-level labels."""
        labels: dict[str, set[int]] = {}
        if self.image_labels is None:
            for entry in entries:
                labels.setdefault(entry['name'], set()).add(entry['class_id'])
            return labels
        path = self._under_root(self.image_labels)
        numbers = {name: i for i, name in enumerate(self.metainfo['classes'], 1)}
        for name, tags in load(str(path)).items():
            unknown = set(tags) - numbers.keys()
            if unknown:
                raise ValueError(
                    f"image-label file '{path}': image '{name}' has unknown classes "
                    f'{sorted(unknown)}; the dataset knows {sorted(numbers)}')
            labels[name] = {numbers[tag] for tag in tags}
        for entry in entries:
            if entry['class_id'] not in labels.get(entry['name'], ()):
                raise ValueError(
                    f"image-label file '{path}' does not give image '{entry['name']}' "
                    f"class '{self.metainfo['classes'][entry['class_id'] - 1]}', for "
                    'which the split lists name it')
        return labels

    def __len__(self) -> int:
        self.full_init()
        return self.num_episodes or len(self.data_list)

    def draw(self, key: int | EpisodeKey) -> Episode:
        """The episode of a key, or of number j: (query entry j, seed j).

        A key that asks for an absent class gets the query's own where the query shows
        every class of the split.
        """
        self.full_init()
        if not isinstance(key, EpisodeKey):
            key = EpisodeKey(key % len(self.data_list), key)
        entry = self.data_list[key.query]
        rng = np.random.RandomState(key.seed)
        if key.present is None:
            classes = draw_classes(entry['class_id'], self.class_ids, self.way, rng)
        else:
            shown = self.labels_of[entry['name']]
            absent = [number for number in self.class_ids if number not in shown]
            wanted = entry['class_id'] if key.present or not absent else rng.choice(
                absent)
            classes = (int(wanted), )
        supports = draw_supports(
            entry['name'], classes, self.images_of, self.shot, rng)
        return Episode(entry['name'], supports, classes)

    def _image(self, name: str) -> dict:
        info = dict(
            img_path=os.path.join(
                self.data_prefix['img_path'], name + self.img_suffix),
            seg_fields=[])
        if self.with_masks:
            info['seg_map_path'] = os.path.join(
                self.data_prefix['seg_map_path'], name + self.seg_map_suffix)
        return info

    def _describe(self, key: int | EpisodeKey, episode: Episode) -> dict:
        labels = self.labels_of[episode.query]
        return dict(
            episode=key.seed if isinstance(key, EpisodeKey) else key,
            query=self._image(episode.query),
            supports=[
                [self._image(name) for name in names] for names in episode.supports],
            class_ids=list(episode.classes),
            presence=[number in labels for number in episode.classes],
            classes=self.metainfo['classes'])

    def __getitem__(self, key: int | EpisodeKey) -> dict:
        """The episode of a key (see :meth:`draw`), through the pipeline."""
        return self.pipeline(self._describe(key, self.draw(key)))

