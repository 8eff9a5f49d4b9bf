from __future__ import annotations

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData
from torch import Tensor

from mmwsfs.registry import TRANSFORMS
from mmwsfs.structures import VOID, FewShotDataSample


def _to_tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


@TRANSFORMS.register_module()
class PackEpisodeInputs(BaseTransform):
    """Pack an episode into model inputs and a :class:`FewShotDataSample`.

    Gives ``inputs``, a dict of uint8 tensors ``query``, (3, H, W), and ``support``,
    (N, K, 3, H, W), and ``data_samples``. Label maps that were loaded become masks of
    the ways. Presence is read from the query's mask where that was loaded, else it is
    the image-level label.
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
        presence = results['presence']
        if 'gt_seg_map' in query:
            label_map = query['gt_seg_map']
            presence = [number in query['seg_labels'] for number in class_ids]
            ways = np.where(label_map == VOID, VOID, 0)
            for way, number in enumerate(class_ids, start=1):
                ways[label_map == number] = way
            sample.gt_sem_seg = PixelData(
                data=torch.from_numpy(ways.astype(np.uint8))[None])
        if all('gt_seg_map' in image for images in supports for image in images):
            sample.support_masks = torch.stack([
                torch.stack([
                    torch.from_numpy((image['gt_seg_map'] == number).astype(np.uint8))
                    for image in images])
                for number, images in zip(class_ids, supports)])
        sample.gt_presence = torch.tensor(presence)
        support = torch.stack([
            torch.stack([_to_tensor(image['img']) for image in images])
            for images in supports])
        return dict(
            inputs=dict(query=_to_tensor(query['img']), support=support),
            data_samples=sample)
