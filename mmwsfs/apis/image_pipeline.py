from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL.Image
import torch
from mmcv.transforms import Compose
from torch import Tensor

from mmwsfs.datasets.transforms import LoadImageFromFile
from mmwsfs.datasets.transforms.lazy_loader import to_tensor
from mmwsfs.datasets.transforms.mask_file import (
    check_8_bit,
    check_mask_size,
    object_mask,
    read_mask_file,
)
from mmwsfs.datasets.transforms.mask_loader import MaskLoader
from mmwsfs.registry import TRANSFORMS
from mmwsfs.utils.image_file import to_bgr

# A file, or an image in memory.
Image = str | Path | np.ndarray | PIL.Image.Image


def check_channel_order(channel_order: str) -> None:
    """Raise a ValueError where the order of an array's channels is not known."""
    if channel_order not in ('bgr', 'rgb'):
        raise ValueError(
            f"channel_order={channel_order!r}: arrays are 'bgr', as of mmcv.imread, or "
            "'rgb'")


class PreparedImage(NamedTuple):
    """An image that has been through the pipeline.

    Attributes:
        path: its file, or None for one in memory.
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
    mask of a support may be given instead, and goes through the same transforms. Where
    a ``LoadObjectMask`` has a threshold, it holds for that mask as well.

    Args:
        pipeline: the pipeline of a dataset, such as
            ``cfg.test_dataloader.dataset.pipeline``.
        role: 'query' or 'support'.

    Raises:
        ValueError: there is no ``EpisodeTransform`` in it, or one that does not begin
            with ``LoadImageFromFile``.
    """

    def __init__(self, pipeline: Sequence[dict], role: str) -> None:
        transforms = [
            transform for step in pipeline if self._name(step) == 'EpisodeTransform'
            for transform in step[role] if not self._loads_masks(transform)]
        if not transforms or self._name(transforms[0]) != 'LoadImageFromFile':
            raise ValueError(
                'test_dataloader.dataset.pipeline must have an EpisodeTransform whose '
                f"'{role}' begins with LoadImageFromFile")
        self.role = role
        self.load = TRANSFORMS.build({**transforms[0], 'type': LoadImageFromFile})
        self.load_array = TRANSFORMS.build(
            {**transforms[0], 'type': 'mmseg.LoadImageFromNDArray'})
        self.threshold = next(
            (transform['threshold'] for step in pipeline
             for transform in (*step.get('support', ()), *step.get('query', ()))
             if transform.get('threshold') is not None
             and self._name(transform) == 'LoadObjectMask'), None)
        self.transforms = Compose([TRANSFORMS.build(step) for step in transforms[1:]])

    @property
    def settings(self) -> str:
        """All that is done to an image, as text."""
        return f'{self.load}\n{self.transforms}'

    @staticmethod
    def _loads_masks(config: dict) -> bool:
        kind = config['type']
        kind = TRANSFORMS.get(kind) if isinstance(kind, str) else kind
        return isinstance(kind, type) and issubclass(kind, MaskLoader)

    @staticmethod
    def _name(config: dict) -> str:
        """The type's name without its scope; of a class, its own."""
        return getattr(config['type'], '__name__', config['type']).split('.')[-1]

    def __call__(self, image: Image, mask: Image | None = None,
                 channel_order: str = 'bgr') -> PreparedImage:
        """
        Args:
            image: a file; an array, (H, W, 3) uint8; or a PIL image.
            mask: of the same size, such a one or an array (H, W) of bool or integers.
                What marks the object says
                :func:`~mmwsfs.datasets.transforms.mask_file.object_mask`.
            channel_order: of an array, 'bgr' as of ``mmcv.imread``, or 'rgb'. Files
                and PIL images know theirs. Defaults to 'bgr'.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: something is no image or mask as above, or the order is another.
        """
        check_channel_order(channel_order)
        results = self._load_image(image, channel_order)
        original = results['img']
        if mask is not None:
            results['gt_seg_map'] = self._load_mask(mask, image, original.shape[:2])
            results['seg_fields'] = ['gt_seg_map']
        results = self.transforms(results)
        return PreparedImage(
            results['img_path'], original,
            to_tensor(results['img']),
            None if mask is None else torch.from_numpy(results['gt_seg_map'] > 0))

    def _load_image(self, image: Image, channel_order: str) -> dict:
        if not isinstance(image, (str, Path)):
            return self.load_array(dict(img=self._in_memory(image, channel_order)))
        try:
            return self.load(dict(img_path=str(image)))
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{self.role} image '{image}' does not exist") from None
        except Exception as error:
            raise ValueError(
                f"{self.role} image '{image}' cannot be read: {error}") from error

    def _in_memory(self, image: np.ndarray | PIL.Image.Image,
                   channel_order: str) -> np.ndarray:
        if isinstance(image, PIL.Image.Image):
            image, channel_order = self._of_pillow(image), 'bgr'
        if not isinstance(image, np.ndarray):
            raise ValueError(
                f'a {self.role} image must be a file, an array or a PIL image, but is '
                f'{type(image).__name__}')
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(
                f'a {self.role} image must be (H, W, 3) uint8, but is '
                f'{image.shape} {image.dtype}')
        if not image.size:
            raise ValueError(
                f'a {self.role} image is {image.shape}: it has no pixels')
        return image[..., ::-1] if channel_order == 'rgb' else image

    def _of_pillow(self, image: PIL.Image.Image) -> np.ndarray:
        try:
            return to_bgr(image)
        except (OSError, ValueError) as error:
            raise ValueError(
                f'a {self.role} image of Pillow cannot be read: {error}') from error

    def _load_mask(self, mask: Image, image: Image, size: tuple[int, int]
                   ) -> np.ndarray:
        """(H, W) uint8, 1 = object."""
        what = f"mask '{mask}'" if isinstance(mask, (str, Path)) else 'a mask'
        if isinstance(image, (str, Path)):
            what += f" of image '{image}'"
        if isinstance(mask, np.ndarray):
            pixels = mask
        elif isinstance(mask, (str, Path, PIL.Image.Image)):
            pixels = (np.asarray(mask) if isinstance(mask, PIL.Image.Image)
                      else read_mask_file(str(mask)))
            check_8_bit(pixels, what)
        else:
            raise ValueError(
                f'{what} must be a file, an array or a PIL image, but is '
                f'{type(mask).__name__}')
        check_mask_size(pixels, size, what)
        return (object_mask(pixels, what, self.threshold) == 1).astype(np.uint8)
