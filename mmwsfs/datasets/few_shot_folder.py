from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from mmwsfs.registry import DATASETS
from mmwsfs.utils.file_names import normal_name, on_disk
from mmwsfs.utils.text_file import read_text

from .few_shot_dataset import FewShotDataset
from .folders import folder_content
from .tag_file import read_tags


@DATASETS.register_module()
class FewShotFolderDataset(FewShotDataset):
    """Episodes of one's own images, each with the names of the classes that it shows.

    Those are the folder in which an image lies, ``cat/1.jpg``, or come from a file
    (``tags``), where an image may show several. Training (``split='trn'``) takes all
    classes but the novel ones and leaves out images that show a novel one as well;
    testing (``split='val'``) takes the novel ones.

    Classes have the numbers 1..C in the order of their sorted names or, with
    ``metainfo=dict(classes=[...])``, in that order, which a class added later need not
    change; one that no image shows is in no split.

    The mask of an image has the image's name with the suffix ``.png`` in the mask
    folder. In folders of a class it shows that class alone
    (:class:`~mmwsfs.datasets.LoadObjectMask`), beside a tag file it is a
    label map (:class:`~mmwsfs.datasets.LoadLabelMap`). Masks beside their
    images, as in FSS-1000, are the same folder for both and ``img_suffixes`` without
    '.png'.

    Args:
        novel (str | int | Sequence[str | int]): the novel classes: names (of folders
            named by numbers, also numbers), or text files (``*.txt``, relative to
            ``data_root``) of a name a line. Empty to train on all classes.
        tags (str, optional): tag file relative to ``data_root``, see
            :func:`~mmwsfs.datasets.tag_file.read_tags`. Defaults to None, folders.
        data_prefix (dict): ``img_path``, the folder of the class folders or that the
            tag file's images are relative to, and ``seg_map_path``, the one of the
            masks, under ``data_root``. Defaults to 'images' and 'masks'.
        img_suffixes (Sequence[str]): of the images in class folders, in upper or lower
            case. Defaults to .jpg, .jpeg, .png, .bmp and .webp.
        mask_threshold (int, optional): of masks of class folders, 1..255: brightness
            from which on pixels are the object. Defaults to None; see
            :class:`~mmwsfs.datasets.LoadObjectMask`.
        **kwargs: as for :class:`.FewShotDataset`.

    Raises:
        ValueError: a class folder without images; a novel class that no image shows,
            none to test on or none left to train on; a class that ``metainfo`` does not
            name; two images of one mask file; a threshold for label maps; as
            :func:`.read_tags`.
        FileNotFoundError: a folder or file is missing.
    """

    def __init__(self,
                 *,
                 novel: str | int | Sequence[str | int],
                 tags: str | None = None,
                 data_prefix: dict = dict(),
                 img_suffixes: Sequence[str] = (
                     '.jpg', '.jpeg', '.png', '.bmp', '.webp'),
                 mask_threshold: int | None = None,
                 **kwargs: Any) -> None:
        if tags is not None and mask_threshold is not None:
            raise ValueError(
                f'mask_threshold={mask_threshold} is of masks that show the class of '
                'their folder, but the masks beside tags are label maps: leave it out')
        self.novel = [
            str(name) for name in ([novel] if isinstance(novel, (str, int, float))
            else novel)]
        self.tags = tags
        self.mask_threshold = mask_threshold
        self.img_suffixes = tuple(map(str.lower, img_suffixes))
        super().__init__(
            data_prefix=dict(
                dict(img_path='images', seg_map_path='masks'), **data_prefix),
            **kwargs)

    def source(self) -> str:
        """The tag file or the folder of the class folders."""
        if self.tags is None:
            return self.data_prefix['img_path']
        return str(self._under_root(self.tags))

    def load_data_list(self) -> list[dict]:
        """Read the classes of all images first: the splits follow from them."""
        self._classes_of = (
            self._read_folders() if self.tags is None else
            read_tags(self._under_root(self.tags)))
        self._shown = {name for names in self._classes_of.values() for name in names}
        self._metainfo['classes'] = self._class_names()
        self._novel_names = self._read_novel()
        if self.masked.any:
            self._check_mask_files()
        return super().load_data_list()

    def _read_folders(self) -> dict[str, tuple[str, ...]]:
        """Image name -> its folder."""
        root, mend = self.data_prefix['img_path'], 'set data_root and data_prefix'
        masks = os.path.abspath(self.data_prefix['seg_map_path'])
        classes_of: dict[str, tuple[str, ...]] = {}
        others = 0
        for name in sorted(folder_content(root, 'image', mend), key=normal_name):
            folder = os.path.join(root, name)
            if (not os.path.isdir(folder) or name.startswith('.')
                    or os.path.abspath(folder) == masks):
                continue
            files = [file for file in sorted(
                folder_content(folder, 'class', mend), key=normal_name)
                if not file.startswith('.')]
            images = [file for file in files
                      if file.lower().endswith(self.img_suffixes)]
            if not images:
                raise ValueError(
                    f"class folder '{folder}' has no images "
                    f"({', '.join(self.img_suffixes)}): add some or delete it")
            others += len(files) - len(images)
            for file in images:
                image = normal_name(f'{name}/{file}')
                if image in classes_of:
                    raise ValueError(
                        f"image '{image}' in '{root}' is there twice, its letters "
                        'composed in two ways (Unicode): delete one')
                classes_of[image] = (normal_name(name), )
        if not classes_of:
            raise ValueError(
                f"image folder '{root}' has no class folders: put the images of each "
                'class into one that has its name, or set tags')
        print_log(
            f"'{root}': {len(classes_of)} images; {others} other files are not read",
            'current')
        return classes_of

    def _class_names(self) -> tuple[str, ...]:
        classes = tuple(
            normal_name(str(name))
            for name in self._metainfo.get('classes', sorted(self._shown)))
        unnamed = sorted(self._shown.difference(classes))
        if unnamed:
            raise ValueError(
                f"'{self.source()}' has classes {unnamed}, which metainfo.classes does "
                f'not name: it has {list(classes)}')
        return classes

    def _read_novel(self) -> set[str]:
        names = []
        for item in self.novel:
            if not item.endswith('.txt'):
                names.append(normal_name(item))
                continue
            path = self._under_root(item)
            if not path.is_file():
                raise FileNotFoundError(
                    f"list of novel classes '{path}' does not exist: set novel")
            lines = read_text(path, 'list of novel classes').splitlines()
            names += filter(None, (normal_name(line.strip()) for line in lines))
        unknown = [name for name in names if name not in self._shown]
        if unknown:
            raise ValueError(
                f"novel names {unknown}, but the classes of '{self.source()}' are "
                f'{sorted(self._shown)}')
        return set(names)

    def _check_mask_files(self) -> None:
        owners: dict[str, str] = {}
        for name in self._classes_of:
            path = self._mask_path(name)
            owner = owners.setdefault(path, name)
            if owner != name or path == self._image_path(name):
                raise ValueError(
                    f"the masks of images '{owner}' and '{name}' would be one file, "
                    f"'{path}': rename an image, keep masks in a folder of their own, "
                    "or '.png' out of img_suffixes")

    def split_classes(self) -> list[int]:
        """The novel classes, or the others."""
        names = self._novel_names if self.split == 'val' else (
            self._shown - self._novel_names)
        numbers = [
            number for number, name in enumerate(self._metainfo['classes'], start=1)
            if name in names]
        if not numbers:
            raise ValueError(
                'novel is empty: name the classes to test on' if self.split == 'val'
                else f"novel names all classes of '{self.source()}': leave some to "
                'train on')
        return numbers

    def load_entries(self) -> list[tuple[str, int]]:
        """The images with each of their classes in the split."""
        numbers = {self._metainfo['classes'][n - 1]: n for n in self.class_ids}
        kept = {
            name: classes for name, classes in self._classes_of.items()
            if self.split == 'val' or not self._novel_names.intersection(classes)}
        if len(kept) < len(self._classes_of) and self.tags is not None:
            print_log(
                f"'{self.source()}': {len(self._classes_of) - len(kept)} of "
                f'{len(self._classes_of)} images show a novel class and are left out '
                'of training', 'current')
        return [(name, numbers[label]) for name, classes in kept.items()
                for label in classes if label in numbers]

    @property
    def mask_loader(self) -> dict:
        """Of class folders masks of one class, beside tags label maps."""
        if self.tags is not None:
            return super().mask_loader
        return dict(type='LoadObjectMask') if self.mask_threshold is None else dict(
            type='LoadObjectMask', threshold=self.mask_threshold)

    def image_name(self, path: str) -> str:
        """The file's path below the image folder."""
        return Path(path).as_posix()

    def _image_path(self, name: str) -> str:
        return on_disk(os.path.join(self.data_prefix['img_path'], name))

    def _mask_path(self, name: str) -> str:
        return on_disk(os.path.join(
            self.data_prefix['seg_map_path'], str(Path(name).with_suffix('.png'))))

    def missing_files(self, names: Iterable[str]) -> dict[str, str]:
        """What is missing of the images."""
        missing: dict[str, str] = {}
        for name in names:
            files = dict(image=self._image_path(name))
            if self.has_mask(name):
                files['mask'] = self._mask_path(name)
            for kind, path in files.items():
                if not os.path.isfile(path):
                    missing.setdefault(name, f"{kind} '{path}'")
        return missing

    def image_info(self, name: str) -> dict:
        """Paths of the image and of the mask that it carries; in class folders then
        ``object_class``, the number of the one class that the mask shows."""
        info = dict(img_path=self._image_path(name))
        if self.has_mask(name):
            info['seg_map_path'] = self._mask_path(name)
            if self.tags is None:
                (label, ) = self._classes_of[name]
                info['object_class'] = self._metainfo['classes'].index(label) + 1
        return info
