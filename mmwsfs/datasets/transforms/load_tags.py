from __future__ import annotations

import os
from pathlib import Path

from mmcv.transforms import BaseTransform

from mmwsfs.datasets.tag_file import read_tags
from mmwsfs.registry import TRANSFORMS
from mmwsfs.utils.file_names import normal_name


@TRANSFORMS.register_module()
class LoadTags(BaseTransform):
    """Give an image of an ordinary data set its tags, the classes that it shows.

    Reads ``img_path``; adds ``tags``, class names in the order of the file. It takes
    the place of ``LoadAnnotations`` where a model learns from tags: no mask is opened.

    Args:
        tag_file (str): a file of :func:`~mmwsfs.datasets.tag_file.read_tags`.
        img_dir (str): the folder from which its image names count.

    Raises:
        ValueError: an image has no tags in the file; and as ``read_tags``.
    """

    def __init__(self, tag_file: str, img_dir: str) -> None:
        self.tag_file = tag_file
        self.img_dir = img_dir
        self._tags = read_tags(Path(tag_file))

    def tags_of(self, img_path: str) -> tuple[str, ...]:
        """The tags of an image file."""
        name = normal_name(Path(os.path.relpath(img_path, self.img_dir)).as_posix())
        if name not in self._tags:
            raise ValueError(
                f"tag file '{self.tag_file}' has no tags for '{name}' (image "
                f"'{img_path}' from the folder '{self.img_dir}'): add it, take it out "
                'of the ann_file of the data set, or correct img_dir of LoadTags')
        return self._tags[name]

    def transform(self, results: dict) -> dict:
        """Add ``tags``."""
        results['tags'] = self.tags_of(results['img_path'])
        return results
