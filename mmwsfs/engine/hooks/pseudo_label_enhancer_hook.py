from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_reduce, master_only
from mmengine.runner import Runner
from torch import Tensor

from mmwsfs.registry import HOOKS
from mmwsfs.structures import FewShotDataSample
from mmwsfs.utils.areas import label_areas

from .fitting_hook import FittingHook
from .pseudo_label_hook import PseudoLabelHook


@HOOKS.register_module()
class PseudoLabelEnhancerHook(PseudoLabelHook):
    """Logs and draws the pseudo-masks of mixed supervision; changes nothing.

    Masks for some images, tags for all (section 3.4 of the paper): before training the
    labeler learns from the images that carry masks (:class:`FittingHook`), then it
    labels the others.

    The work dir gets ``masked_images.txt``, the names of the images that carry masks.
    Beside what :class:`PseudoLabelHook` logs there are ``pseudo_support_iou`` and
    ``pseudo_query_iou`` on the images of the batch that carry masks (which the labeler
    learned from), in 0..1.

    Args:
        num_pictures (int): see :class:`PseudoLabelHook`. Defaults to 0.
    """

    def before_run(self, runner: Runner) -> None:
        """Check that there will be pseudo-masks, and someone to make them learn.

        Raises:
            ValueError: the model takes all masks from the data, or there is no
                :class:`FittingHook`.
        """
        super().before_run(runner)
        if not any(isinstance(hook, FittingHook) for hook in runner.hooks):
            raise ValueError(
                'PseudoLabelEnhancerHook needs a labeler that has learned from masks: '
                "set default_hooks.fitting=dict(type='FittingHook')")

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Write which images carry masks."""
        runner.train_dataloader.dataset.export_masked_images(
            Path(runner.work_dir) / 'masked_images.txt')

    def after_train_iter(self, runner: Runner, batch_idx: int,
                         data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        """Log what :class:`PseudoLabelHook` does, and the labels' IoU."""
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        for role, masks in zip(('support', 'query'), self._masks):
            intersection, union = self._areas(
                role, masks.cpu(), data_batch['data_samples'])
            if union:
                runner.message_hub.update_scalar(
                    f'train/pseudo_{role}_iou', intersection / union)

    def _areas(self, role: str, masks: Tensor,
               data_samples: Sequence[FewShotDataSample]) -> tuple[int, int]:
        """Intersection and union with the masks that came with all ranks' images."""
        areas = torch.zeros(2, dtype=torch.long)
        for sample, mask in zip(data_samples, masks):
            truth = self._truth(sample, role)
            if truth is not None:
                areas += label_areas(mask.long(), truth, 2, 'ignored')[1]
        all_reduce(areas)
        return tuple(areas.tolist())

    @staticmethod
    def _truth(sample: FewShotDataSample, role: str) -> Tensor | None:
        """(H, W) uint8 of an image that carries a mask and shows the class."""
        if role == 'support':
            return sample.support_masks[0, 0] if 'support_masks' in sample else None
        if 'gt_sem_seg' in sample and bool(sample.gt_presence):
            return sample.gt_sem_seg.data[0].cpu()
        return None
