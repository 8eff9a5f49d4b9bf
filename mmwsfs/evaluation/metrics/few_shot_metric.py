from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from prettytable import PrettyTable
from torch import Tensor

from mmwsfs.registry import METRICS
from mmwsfs.structures import VOID


@METRICS.register_module()
class FewShotMetric(BaseMetric):
    """0/1 exact ratio and mIoU over episodes, in per cent.

    - exact ratio: share of episodes in which all N presence predictions are right.
    - mIoU: intersections and unions are summed per class over all episodes, background
      left out, and the IoUs averaged over the dataset's classes. A class that no
      episode's mask or prediction shows has no IoU and is left out of the mean.

    Args:
        void (str): what void (255) pixels of the query count as: 'background', as in
            published few-shot classification and segmentation, or 'ignored', as in
            few-shot segmentation. Defaults to 'background'.
        collect_device (str): Defaults to 'cpu'.
        prefix (str, optional): Defaults to None.

    Raises:
        ValueError: ``void`` is neither, or there are no episodes.
    """

    def __init__(self,
                 void: str = 'background',
                 collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if void not in ('background', 'ignored'):
            raise ValueError(f"void is 'background' or 'ignored', not {void!r}")
        self.void = void

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep what each episode adds: a row a way, and whether it is exact."""
        for sample in data_samples:
            truth = sample['gt_sem_seg']['data'].squeeze(0).cpu()
            prediction = sample['pred_sem_seg']['data'].squeeze(0).cpu()
            if truth.shape != prediction.shape:
                raise ValueError(
                    f"episode {sample['episode']}: the prediction is "
                    f'{tuple(prediction.shape)}, but the mask of '
                    f"'{sample['query_path']}' {tuple(truth.shape)}")
            presence = sample['presence_scores'].cpu() > 0.5
            self.results.append(dict(
                class_ids=sample['class_ids'],
                areas=self._areas(truth, prediction, len(sample['class_ids'])),
                exact=bool((presence == sample['gt_presence'].cpu()).all())))

    def _areas(self, truth: Tensor, prediction: Tensor,
               way: int) -> list[tuple[int, int]]:
        """Intersection and union in pixels, of each way."""
        valid = truth != VOID
        if self.void == 'ignored':
            truth, prediction = truth[valid], prediction[valid]
        areas = []
        for number in range(1, way + 1):
            wanted, found = truth == number, prediction == number
            areas.append((int((wanted & found).sum()), int((wanted | found).sum())))
        return areas

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Metrics of all episodes.

        Returns:
            dict: ``exact_ratio``, ``mIoU`` and ``IoU.<class>`` in per cent, and
            ``episodes``.
        """
        if not results:
            raise ValueError('no episode was evaluated')
        names = self.dataset_meta['classes']
        areas = {number: torch.zeros(2, dtype=torch.int64)
                 for number in self.dataset_meta['class_ids']}
        for result in results:
            for number, pair in zip(result['class_ids'], result['areas']):
                areas[number] += torch.tensor(pair)
        ious = {
            names[number - 1]: 100 * float(intersection) / float(union)
            for number, (intersection, union) in areas.items() if union > 0}
        metrics = dict(
            exact_ratio=100 * sum(r['exact'] for r in results) / len(results),
            mIoU=sum(ious.values()) / len(ious) if ious else 0.0,
            episodes=float(len(results)))  # MMEngine's JSON log drops integers
        self._log_table(metrics, ious)
        return {**metrics, **{f'IoU.{name}': iou for name, iou in ious.items()}}

    def _log_table(self, metrics: dict[str, float], ious: dict[str, float]) -> None:
        table = PrettyTable(['class', 'IoU'])
        for name, iou in ious.items():
            table.add_row([name, f'{iou:.2f}'])
        table.add_row(['mean', f"{metrics['mIoU']:.2f}"])
        meta = self.dataset_meta
        MMLogger.get_current_instance().info(
            f"{metrics['episodes']:.0f} episodes, fold {meta['fold']}, "
            f"{meta['way']}-way {meta['shot']}-shot, void as {self.void}; exact ratio "
            f"{metrics['exact_ratio']:.2f}\n{table}")
