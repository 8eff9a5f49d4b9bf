from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData

from mmwsfs.registry import TRANSFORMS
from mmwsfs.structures import VOID, FewShotDataSample, LazyImage

from .lazy_loader import to_tensor


def class_pixels(image: dict, number: int) -> np.ndarray:
    """(H, W) bool: where an image shows a class."""
    if 'object_class' in image:  # 1 = object, of whatever class
        return (image['gt_seg_map'] == 1) & (image['object_class'] == number)
    return image['gt_seg_map'] == number


def _stack(images: Any) -> Any:
    """An image, or nested lists of images, as one tensor, or object array of lazy ones.
    """
    if not isinstance(images, list):
        return images if isinstance(images, LazyImage) else to_tensor(images)
    rows = [_stack(image) for image in images]
    if isinstance(rows[0], torch.Tensor):
        return torch.stack(rows)
    return np.array(rows, dtype=object)


@TRANSFORMS.register_module()
class PackEpisodeInputs(BaseTransform):
    """Pack an episode into model inputs and a :class:`.FewShotDataSample`.

    Gives ``inputs``, a dict of uint8 tensors ``query``, (3, H, W), and ``support``,
    (N, K, 3, H, W), and ``data_samples``; of lazy images a
    :class:`~mmwsfs.structures.LazyImage` and an (N, K) object array. Where an episode
    has ``negatives``, of every way M photographs of what it is not, they are
    ``inputs`` too: ``negative``, (N, M, 3, H, W); those of the published protocol have
    none. Label maps that
    were loaded become masks of the ways: ``gt_sem_seg`` where the query has one,
    ``support_masks`` where all supports have one. ``gt_presence`` is read from the
    query's mask where that was loaded (``seg_labels``), else from its image-level
    ``labels``.
    """

    def transform(self, results: dict) -> dict:
        query, supports = results['query'], results['supports']
        class_ids = results['class_ids']
        sample = FewShotDataSample(metainfo=dict(
            episode=results['episode'],
            query_path=query['img_path'],
            support_paths=[[image['img_path'] for image in images]
                           for images in supports],
            class_ids=class_ids,
            ori_shape=query['ori_shape'],
            img_shape=query['img_shape']))
        shown = query['seg_labels'] if 'gt_seg_map' in query else query['labels']
        sample.gt_presence = torch.tensor([number in shown for number in class_ids])
        if 'gt_seg_map' in query:
            label_map = query['gt_seg_map']
            ways = np.where(label_map == VOID, VOID, 0)
            for way, number in enumerate(class_ids, start=1):
                ways[class_pixels(query, number)] = way
            sample.gt_sem_seg = PixelData(
                data=torch.from_numpy(ways.astype(np.uint8))[None])
        if all('gt_seg_map' in image for images in supports for image in images):
            sample.support_masks = torch.stack([
                torch.stack([
                    torch.from_numpy(class_pixels(image, number).astype(np.uint8))
                    for image in images])
                for number, images in zip(class_ids, supports)])
        inputs = dict(
            query=_stack(query['img']),
            support=_stack([[image['img'] for image in row] for row in supports]))
        if 'negatives' in results:
            inputs['negative'] = _stack(
                [[image['img'] for image in row] for row in results['negatives']])
        return dict(inputs=inputs, data_samples=sample)
