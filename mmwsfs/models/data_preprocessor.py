from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from mmengine.model import ImgDataPreprocessor
from torch import Tensor

from mmwsfs.registry import MODELS
from mmwsfs.structures import LazyImage, LazyImages


@MODELS.register_module()
class FewShotDataPreProcessor(ImgDataPreprocessor):
    """Stack and normalise the images of a batch of episodes.

    Args:
        mean (Sequence[float]): of R, G and B, in 0..255.
        std (Sequence[float]): of R, G and B.
        bgr_to_rgb (bool): the images come as BGR. Defaults to True.
    """

    def __init__(self,
                 mean: Sequence[float],
                 std: Sequence[float],
                 bgr_to_rgb: bool = True) -> None:
        super().__init__(mean=mean, std=std, bgr_to_rgb=bgr_to_rgb)

    def normalise(self, images: Sequence[Tensor]) -> Tensor:
        """Stack uint8 images of one shape, on the model's device, and normalise them.

        Raises:
            ValueError: the shapes differ.
        """
        cast = self.cast_data(list(images))
        shapes = {tuple(image.shape) for image in cast}
        if len(shapes) != 1:
            raise ValueError(
                f'images of one batch differ in shape, {sorted(shapes)}: resize them '
                'to one size (keep_ratio=False) and use one way and shot')
        stacked = torch.stack(cast)
        if self._channel_conversion:
            stacked = stacked.flip(-3)
        return (stacked.float() - self.mean) / self.std

    def _stack_lazy(self, images: Sequence[LazyImage | np.ndarray]) -> LazyImages:
        shapes = {np.asarray(image, dtype=object).shape for image in images}
        if len(shapes) != 1:
            raise ValueError(
                f'episodes of one batch differ in (way, shot), {sorted(shapes)}: use '
                'one way and shot')
        return LazyImages(np.array(images, dtype=object), self.normalise)

    def forward(self, data: dict, training: bool = False) -> dict:
        """
        Args:
            data: ``inputs``, a dict of lists of B uint8 tensors: ``query``,
                (3, H, W), and ``support``, (N, K, 3, H, W); or lazy images, B and
                arrays (N, K) of them. And ``data_samples``.

        Returns:
            dict: the same with ``inputs`` stacked to float (B, 3, H, W) and
            (B, N, K, 3, H, W), on the model's device; or to
            :class:`~mmwsfs.structures.LazyImages` of these shapes.

        Raises:
            ValueError: the inputs are no episodes.
        """
        if not isinstance(data['inputs'], Mapping):
            raise ValueError(
                'a few-shot model takes episodes, inputs of query and support, and '
                f"these are of type {type(data['inputs']).__name__}, as those of "
                "mmseg's get_flops.py: a tool for single images cannot ask it; "
                'tools/analysis_tools/benchmark.py measures one of episodes')
        data = self.cast_data(data)
        return dict(
            inputs={
                key: self.normalise(value) if isinstance(value[0], Tensor)
                else self._stack_lazy(value)
                for key, value in data['inputs'].items()},
            data_samples=data.get('data_samples'))
