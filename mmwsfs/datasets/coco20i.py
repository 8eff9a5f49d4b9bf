from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from mmwsfs.registry import DATASETS

from .all_classes import entries_without, left_out_numbers
from .coco_annotations import CocoAnnotations
from .few_shot_dataset import FewShotDataset
from .held_out import held_out_base
from .split_lists import FOLDS, coco_image_name, read_class_images, split_classes

COCO_CLASSES = (
    'person', 'bicycle', 'car', 'motorcycle', 'airplane', 'bus', 'train', 'truck',
    'boat', 'traffic light', 'fire hydrant', 'stop sign', 'parking meter', 'bench',
    'bird', 'cat', 'dog', 'horse', 'sheep', 'cow', 'elephant', 'bear', 'zebra',
    'giraffe', 'backpack', 'umbrella', 'handbag', 'tie', 'suitcase', 'frisbee', 'skis',
    'snowboard', 'sports ball', 'kite', 'baseball bat', 'baseball glove', 'skateboard',
    'surfboard', 'tennis racket', 'bottle', 'wine glass', 'cup', 'fork', 'knife',
    'spoon', 'bowl', 'banana', 'apple', 'sandwich', 'orange', 'broccoli', 'carrot',
    'hot dog', 'pizza', 'donut', 'cake', 'chair', 'couch', 'potted plant', 'bed',
    'dining table', 'toilet', 'tv', 'laptop', 'mouse', 'remote', 'keyboard',
    'cell phone', 'microwave', 'oven', 'toaster', 'sink', 'refrigerator', 'book',
    'clock', 'vase', 'scissors', 'teddy bear', 'hair drier', 'toothbrush')


@DATASETS.register_module()
class Coco20iDataset(FewShotDataset):
    """Episodes of COCO-20i, from plain COCO JSON.

    Fold i holds out the classes i+1, i+5, ..., i+77; ``selection='base'`` reads the val
    lists of the other folds. Lists and images are matched by
    the image id, the number that a file name ends with: ``.jpg`` files of the 2014 and
    of the 2017 release, in any sub-folders. Masks are drawn on demand from the
    annotations (:class:`~mmwsfs.datasets.LoadCocoLabelMap`); without masks
    no annotation file is read.

    Args:
        fold (int, optional): the fold held out, 0..3. None, of ``split='trn'`` alone:
            none is, and training reads the trn and the val lists of all four.
        lists (str): folder with ``trn/fold*.json.gz`` and ``val/fold*.json.gz``,
            relative to ``data_root``.
        ann_files (str | Sequence[str]): COCO JSON files, relative to ``data_root``;
            each image has to be in one of them. Read only with masks.
        data_prefix (dict): ``img_path``, the folder of the images under ``data_root``.
        leave_out (Sequence[str]): with ``fold=None`` names of classes that are not
            trained on; images that the lists name for one are left out. Defaults to
            none.
        **kwargs: as for :class:`.FewShotDataset`.

    Raises:
        ValueError: unknown fold; a damaged list or annotation file; no fold to test on;
            an unknown class to be left out.
        FileNotFoundError: a list, an annotation file or the image folder is missing.
    """

    METAINFO = dict(classes=COCO_CLASSES)
    QUERY_RULE = 'a class, then one of its images'

    def __init__(self,
                 *,
                 fold: int | None,
                 lists: str,
                 ann_files: str | Sequence[str] = (),
                 data_prefix: dict = dict(img_path='coco'),
                 leave_out: Sequence[str] = (),
                 **kwargs: Any) -> None:
        self.fold = fold
        self.leave_out = leave_out
        self.lists = lists
        self.ann_files = [ann_files] if isinstance(ann_files, str) else ann_files
        self._paths: dict[str, str] | None = None
        self._annotations: CocoAnnotations | None = None
        super().__init__(data_prefix=data_prefix, **kwargs)

    def source(self) -> str:
        """The list file; of held-out base photographs, and without a fold, a pattern.
        """
        split = '*' if self.fold is None else self.split
        base = self.fold is None or self.choice.selection == 'base'
        fold = '*' if base else self.fold
        return str(self._under_root(self.lists) / split / f'fold{fold}.json.gz')

    def split_classes(self) -> list[int]:
        """The fold's classes, or the others; all but those left out without a fold."""
        classes = self.metainfo['classes']
        self._left_out = left_out_numbers(
            self.fold, self.split, self.leave_out, classes)
        if self.fold is None:
            return [number for number in range(1, len(classes) + 1)
                    if number not in self._left_out]
        return split_classes(self.split, self.fold, len(classes), interleaved=True)

    def load_entries(self) -> list[tuple[str, int]]:
        """Images by class, in the list's order."""
        if self.fold is None:
            return entries_without(
                [entry for split in ('trn', 'val') for fold in range(FOLDS)
                 for entry in self._read(split, fold)], self._left_out)
        return self._read(self.split, self.fold)

    def load_base_entries(self) -> list[tuple[str, int]]:
        """Of the other folds' val lists; see
        :func:`~mmwsfs.datasets.held_out.held_out_base`."""
        assert self.fold is not None  # split 'val' has one
        others = [fold for fold in range(FOLDS) if fold != self.fold]
        return held_out_base(
            [entry for fold in others for entry in self._read('val', fold)],
            self._read('val', self.fold), self._read('trn', self.fold), self.source())

    def _read(self, split: str, fold: int) -> list[tuple[str, int]]:
        return read_class_images(
            self._under_root(self.lists) / split / f'fold{fold}.json.gz',
            split_classes(
                split, fold, len(self.metainfo['classes']), interleaved=True))

    @property
    def mask_loader(self) -> dict:
        """Masks are drawn from annotations."""
        return dict(type='LoadCocoLabelMap')

    def image_name(self, path: str) -> str:
        """The image id in twelve digits, of the 2014 and the 2017 files alike."""
        return coco_image_name(path)

    def draw_query(self, number: int, rng: np.random.RandomState) -> dict:
        """A class, then an image of it, both from the episode's generator."""
        class_id = int(rng.choice(self.class_ids, 1, replace=False)[0])
        images = self.images_of[class_id]
        name = images[rng.choice(len(images), 1, replace=False)[0]]
        return dict(name=name, class_id=class_id)

    def missing_files(self, names: Iterable[str]) -> dict[str, str]:
        """What is missing of the images; finds their files and annotations."""
        if self._paths is None:
            self._paths = self._find_images()
        folder = self.data_prefix['img_path']
        missing = {name: f"image '{folder}/**/*{name}.jpg'" for name in names
                   if name not in self._paths}
        masked = list(filter(self.has_mask, names))
        if masked:
            if self._annotations is None:
                self._annotations = CocoAnnotations(
                    [self._under_root(file) for file in self.ann_files],
                    self.metainfo['classes'], set(map(int, masked)))
            for name in masked:
                if int(name) not in self._annotations:
                    missing.setdefault(
                        name, f'annotations of image id {int(name)} in '
                        f'{self.ann_files}')
        return missing

    def _find_images(self) -> dict[str, str]:
        folder = self.data_prefix['img_path']
        if not os.path.isdir(folder):
            raise FileNotFoundError(
                f"image folder '{folder}' does not exist: set MMWSFS_DATA_ROOT or "
                'data_root and data_prefix')
        paths: dict[str, str] = {}
        for parent, _, files in sorted(os.walk(folder, followlinks=True)):
            for file in sorted(files):
                # Not the PNGs: COCO's panoptic label maps are named like the images.
                if file.endswith('.jpg') and file[-5:-4].isdigit():
                    paths.setdefault(
                        coco_image_name(file), os.path.join(parent, file))
        return paths

    def image_info(self, name: str) -> dict:
        """Path of the image and the annotations of the mask that it carries."""
        assert self._paths is not None  # missing_files came first
        info: dict = dict(img_path=self._paths[name])
        if self.has_mask(name):
            assert self._annotations is not None
            info['coco'] = self._annotations[int(name)]
        return info
