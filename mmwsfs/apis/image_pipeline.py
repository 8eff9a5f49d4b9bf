from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Union

import mmcv
import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine import fileio
from torch import Tensor

from mmwsfs.datasets.transforms.lazy_loader import LABEL_LOADERS, to_tensor
from mmwsfs.registry import TRANSFORMS
from mmwsfs.structures import VOID

# A file, or an array in memory.
Image = Union[str, Path, np.ndarray]


class PreparedImage(NamedTuple):
    """An image that has been through the pipeline.

    Attributes:
        path: its file, or None for an array.
        original: (H, W, 3) uint8, BGR, as it was loaded.
        pixels: (3, h, w) uint8, BGR, as the model's preprocessor takes it.
        mask: (h, w) bool, the object, or None.
    """

    path: str | None
    original: np.ndarray
    pixels: Tensor
    mask: Tensor | None


class ImagePipeline:
    """The transforms of an episode's query, or of its supports, for a single image.

    They are those of the ``EpisodeTransform``, without the one that loads masks: the
    mask of a support may be given instead, and goes through the same transforms.

    Args:
        pipeline: the pipeline of a dataset, such as
            ``cfg.test_dataloader.dataset.pipeline``.
        role: 'query' or 'support'.

    Raises:
        ValueError: there is no ``EpisodeTransform`` in it, or one that does not begin
            with ``LoadImageFromFile``.
    """

    def __init__(self, pipeline: Sequence[dict], role: str) -> None:
        labels = [loader.__name__ for loader in LABEL_LOADERS]
        transforms = [
            transform for step in pipeline if self._name(step) == 'EpisodeTransform'
            for transform in step[role] if self._name(transform) not in labels]
        if not transforms or self._name(transforms[0]) != 'LoadImageFromFile':
            raise ValueError(
                'test_dataloader.dataset.pipeline must have an EpisodeTransform whose '
                f"'{role}' begins with LoadImageFromFile")
        self.role = role
        # mmseg's loader of files and arrays, with the settings of the config's.
        self.load = TRANSFORMS.build(
            {**transforms[0], 'type': 'mmseg.InferencerLoader'})
        self.transforms = Compose([TRANSFORMS.build(step) for step in transforms[1:]])

    @staticmethod
    def _name(config: dict) -> str:
        """The type's name without its scope; of a class, its own."""
        return getattr(config['type'], '__name__', config['type']).split('.')[-1]

    def __call__(self, image: Image, mask: Image | None = None) -> PreparedImage:
        """
        Args:
            image: a file, or an array, (H, W, 3) uint8, BGR as of ``mmcv.imread``.
            mask: of the same size: a file, 8-bit grey or with a palette, or an array,
                (H, W) bool or integer. The object is what is neither 0 nor, beside
                another label, 255 (void).

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: a file or array is no image or mask as above.
        """
        results = self._load_image(image)
        original = results['img']
        if mask is not None:
            results['gt_seg_map'] = self._load_mask(mask, image, original.shape[:2])
            results['seg_fields'] = ['gt_seg_map']
        results = self.transforms(results)
        return PreparedImage(
            results['img_path'], original,
            to_tensor(results['img']),
            None if mask is None else torch.from_numpy(results['gt_seg_map'] > 0))

    def _load_image(self, image: Image) -> dict:
        if isinstance(image, np.ndarray):
            if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
                raise ValueError(
                    f'a {self.role} image must be (H, W, 3) uint8, but is '
                    f'{image.shape} {image.dtype}')
            return self.load(dict(img=image))
        try:
            return self.load(dict(img_path=str(image)))
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{self.role} image '{image}' does not exist") from None
        except Exception as error:
            raise ValueError(
                f"{self.role} image '{image}' cannot be read: {error}") from error

    @staticmethod
    def _load_mask(mask: Image, image: Image, size: tuple[int, int]) -> np.ndarray:
        """(H, W) uint8, 1 = object."""
        if isinstance(mask, np.ndarray):
            what, array = 'a mask', mask
        else:
            what = f"mask '{mask}'"
            try:
                array = mmcv.imfrombytes(
                    fileio.get(mask), flag='unchanged', backend='pillow')
            except FileNotFoundError:
                raise FileNotFoundError(f'{what} does not exist') from None
            except Exception as error:
                raise ValueError(f'{what} cannot be read: {error}') from error
        if not isinstance(image, np.ndarray):
            what += f" of image '{image}'"
        if array.ndim != 2 or array.dtype.kind not in 'bui':
            raise ValueError(
                f'{what} must have one channel, 8-bit grey or with a palette, or be an '
                f'array (H, W) of bool or integers, but is {array.shape} {array.dtype}')
        if array.shape != size:
            raise ValueError(
                f'{what} is {array.shape}, but its image {size} pixels (height, width)')
        labels = np.unique(array[array != 0]).tolist()
        if len(labels) > 1:
            labels = [label for label in labels if label != VOID]
        if len(labels) != 1:
            raise ValueError(
                f'{what} must have one label beside 0 (background) and {VOID} (void), '
                f'but has {labels or "none"}: mark the pixels of the class alone')
        return (array == labels[0]).astype(np.uint8)
