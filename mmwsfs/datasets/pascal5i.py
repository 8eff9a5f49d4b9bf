from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from mmseg.utils import get_classes, get_palette

from mmwsfs.registry import DATASETS
from mmwsfs.utils.file_names import normal_name, on_disk

from .all_classes import entries_without, left_out_numbers
from .few_shot_dataset import FewShotDataset
from .folders import folder_content
from .held_out import held_out_base
from .split_lists import FOLDS, read_split_list, split_classes


@DATASETS.register_module()
class Pascal5iDataset(FewShotDataset):
    """Episodes of Pascal-5i: VOC 2012 images by HSNet-format lists of ``name__class``.

    Training (``split='trn'``) reads the trn lists of the other three folds, testing
    (``split='val'``) the val list of the fold, and ``selection='base'`` the val lists
    of the other three.

    Args:
        fold (int, optional): the fold held out, 0..3. None, of ``split='trn'`` alone:
            none is, and training reads the trn and the val lists of all four.
        lists (str): folder with ``trn/fold*.txt`` and ``val/fold*.txt``, relative to
            ``data_root``.
        data_prefix (dict): folders of images and masks under ``data_root``.
        img_suffix (str): Defaults to '.jpg'.
        seg_map_suffix (str): Defaults to '.png'.
        leave_out (Sequence[str]): with ``fold=None`` names of classes that are not
            trained on; images that the lists name for one are left out. Defaults to
            none.
        **kwargs: as for :class:`.FewShotDataset`.

    Raises:
        ValueError: unknown fold; a malformed or empty list; no fold to test on; an
            unknown class to be left out.
        FileNotFoundError: a list or a folder is missing.
    """

    METAINFO = dict(
        classes=tuple(get_classes('voc')[1:]), palette=get_palette('voc')[1:])

    def __init__(self,
                 *,
                 fold: int | None,
                 lists: str,
                 data_prefix: dict = dict(
                     img_path='VOCdevkit/VOC2012/JPEGImages',
                     seg_map_path='VOCdevkit/VOC2012/SegmentationClassAug'),
                 img_suffix: str = '.jpg',
                 seg_map_suffix: str = '.png',
                 leave_out: Sequence[str] = (),
                 **kwargs: Any) -> None:
        self.fold = fold
        self.leave_out = leave_out
        self.lists = lists
        self.img_suffix = img_suffix
        self.seg_map_suffix = seg_map_suffix
        super().__init__(data_prefix=data_prefix, **kwargs)

    def source(self) -> str:
        """The list files, as a pattern."""
        split = '*' if self.fold is None else self.split
        return f'{self._under_root(self.lists)}/{split}/fold*.txt'

    def split_classes(self) -> list[int]:
        """The fold's classes, or the others; all but those left out without a fold."""
        classes = self.metainfo['classes']
        self._left_out = left_out_numbers(
            self.fold, self.split, self.leave_out, classes)
        if self.fold is None:
            return [number for number in range(1, len(classes) + 1)
                    if number not in self._left_out]
        return split_classes(self.split, self.fold, len(classes))

    def load_entries(self) -> list[tuple[str, int]]:
        """The lists' lines, fold by fold."""
        if self.fold is None:
            return entries_without(
                [entry for split in ('trn', 'val')
                 for entry in self._read(split, range(FOLDS))], self._left_out)
        return self._read(
            self.split, self._other_folds() if self.split == 'trn' else [self.fold])

    def load_base_entries(self) -> list[tuple[str, int]]:
        """Of the other folds' val lists; see
        :func:`~mmwsfs.datasets.held_out.held_out_base`."""
        assert self.fold is not None  # split 'val' has one
        others = self._other_folds()
        return held_out_base(
            self._read('val', others), self._read('val', [self.fold]),
            self._read('trn', others), self.source())

    def _other_folds(self) -> list[int]:
        return [fold for fold in range(FOLDS) if fold != self.fold]

    def _read(self, split: str, folds: Iterable[int]) -> list[tuple[str, int]]:
        folder = self._under_root(self.lists) / split
        return [
            entry for fold in folds for entry in read_split_list(
                folder / f'fold{fold}.txt', len(self.metainfo['classes']))]

    def missing_files(self, names: Iterable[str]) -> dict[str, str]:
        """What is missing of the images, by one look into each folder."""
        kinds = [('image', self.data_prefix['img_path'], self.img_suffix, list(names))]
        masked = list(filter(self.has_mask, kinds[0][-1]))
        if masked:
            kinds.append((
                'mask', self.data_prefix['seg_map_path'], self.seg_map_suffix, masked))
        missing: dict[str, str] = {}
        for kind, folder, suffix, users in kinds:
            present = set(map(normal_name, folder_content(
                folder, kind, 'set MMWSFS_DATA_ROOT or data_root and data_prefix')))
            for name in users:
                if normal_name(name + suffix) not in present:
                    missing.setdefault(
                        name, f"{kind} '{os.path.join(folder, name + suffix)}'")
        return missing

    def image_info(self, name: str) -> dict:
        """Paths of the image and of the mask that it carries."""
        info = dict(img_path=on_disk(os.path.join(
            self.data_prefix['img_path'], name + self.img_suffix)))
        if self.has_mask(name):
            info['seg_map_path'] = on_disk(os.path.join(
                self.data_prefix['seg_map_path'], name + self.seg_map_suffix))
        return info
