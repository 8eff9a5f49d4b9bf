from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from PIL import Image

from mmwsfs.evaluation.bootstrap import percentile_interval, resample_counts
from mmwsfs.evaluation.presence_quality import (
    area_under_roc,
    calibration_error,
    presence_predictions,
    risk_coverage,
)
from mmwsfs.registry import METRICS
from mmwsfs.utils.areas import (
    VOID_CONVENTIONS,
    areas_of,
    confusion_matrix,
    foreground_areas,
)
from mmwsfs.utils.file_names import file_stem
from mmwsfs.utils.files import whole_file
from mmwsfs.utils.tables import text_table

# What scoring needs, and where it is from.
_NEEDED = dict(
    pred_sem_seg="the model's predict gives: label maps, (1, H, W), 0 = background, "
    '1..N = way',
    presence_scores="the model's predict gives: (N, ), probabilities of presence",
    gt_presence="PackEpisodeInputs gives: (N, ) bool; without it, "
    'format_only=True writes label maps and scores nothing')


def _get(sample: dict, name: str) -> Any:
    """A field of a data sample.

    Raises:
        ValueError: it is missing; with what it is and who gives it.
    """
    if name not in sample:
        raise ValueError(
            f"episode {sample['episode']}: FewShotMetric needs {name}, which "
            f'{_NEEDED[name]}')
    return sample[name]


@METRICS.register_module()
class FewShotMetric(BaseMetric):
    """Presence and masks over episodes, in per cent (section 10 of the method).

    - exact ratio: share of episodes in which all N presence predictions are right.
    - way accuracy: share of all presence predictions, of an episode and a way, that
      are right; also of the first ways, the second ways, ... alone.
    - mIoU: intersections and unions are summed per class over all episodes, background
      left out, and the IoUs averaged over the dataset's classes. A class that no
      episode's mask or prediction shows has no IoU and is left out of the mean.
    - FB-IoU: mean of the IoUs of foreground, the pixels of any way, and of background,
      both summed over all episodes. One that has no union is left out.
    - presence_AUC, ECE, AURC: of the scores of all presence predictions the area under
      the ROC curve, the expected calibration error and the area under the risk-coverage
      curve, see :mod:`~mmwsfs.evaluation.presence_quality`. Where a class is present
      in all episodes, or in none, there is no ROC curve.

    Exact ratio, presence_AUC, ECE, mIoU and FB-IoU come with 95 % intervals, a
    percentile bootstrap over episodes with a fixed seed. Each resample is scored anew,
    the IoUs from its summed areas. The intervals say how much the draw of the episodes
    matters, not how much another training would.

    Presence needs no masks. Where a query has none, as in a dataset of tags alone,
    there are no IoUs, and the table says so.

    On the main process ``summary`` and ``episodes`` keep the last evaluation: its
    metrics, and what :meth:`process` noted of each episode.

    Args:
        output_dir (str, optional): folder for the predicted label maps, as mmseg's
            ``tools/test.py --out`` sets it: ``EPISODE_QUERY.png``, 8 bit, of the
            query's original size, with the labels of ``pred_sem_seg``, 0 = background
            and 1..N = way. A query is in many episodes, and classes may be more than
            256: an episode's classes stand in the report. Every rank writes its
            own. Defaults to None.
        format_only (bool): write label maps and score nothing: presence and masks of
            the queries need not be known. Defaults to False.
        keep_results (bool, optional): without effect; mmseg's ``--out`` sets it.
        void (str): what void (255) pixels of the query count as: 'background', as in
            published few-shot classification and segmentation, or 'ignored', as in
            few-shot segmentation. Defaults to 'background'.
        collect_device (str): Defaults to 'cpu'.
        prefix (str, optional): Defaults to None.

    Raises:
        ValueError: ``void`` is neither; ``format_only`` without ``output_dir``; there
            are no episodes; the model's output, or the episode, lacks something.
    """

    def __init__(self,
                 void: str = 'background',
                 output_dir: str | None = None,
                 format_only: bool = False,
                 keep_results: bool | None = None,
                 collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if void not in VOID_CONVENTIONS:
            raise ValueError(f"void is 'background' or 'ignored', not {void!r}")
        if format_only and output_dir is None:
            raise ValueError(
                'format_only writes label maps and needs a folder for them: set '
                'test_evaluator.output_dir')
        self.void = void
        self.output_dir = output_dir
        self.format_only = format_only
        self.summary: dict[str, float] = {}
        self.episodes: list[dict] = []

    @property
    def protocol(self) -> str:
        """'FS-CS', or 'FS-S' where the query always holds the target."""
        return self.dataset_meta.get('protocol', 'FS-CS')

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Note each episode's images, classes, presence, and areas in pixels.

        ``areas`` holds a pair of intersection and union for each way, ``fb_areas`` one
        for foreground and one for background; both are None where the query has no
        mask.
        """
        for sample in data_samples:
            if self.output_dir is not None:
                self._write(sample)
            if self.format_only:
                continue
            areas = fb_areas = None
            if 'gt_sem_seg' in sample:
                areas, fb_areas = self._areas(sample)
            presence = _get(sample, 'gt_presence').tolist()
            scores = _get(sample, 'presence_scores').tolist()
            if len(scores) != len(presence):
                raise ValueError(
                    f"episode {sample['episode']}: the model gives "
                    f'{len(scores)} presence_scores for {len(presence)} ways')
            if not all(0 <= score <= 1 for score in scores):
                raise ValueError(
                    f"episode {sample['episode']}: presence_scores are {scores}, but "
                    'probabilities are in 0..1')
            self.results.append(dict(
                episode=sample['episode'],
                query=sample['query_path'],
                supports=sample['support_paths'],
                class_ids=sample['class_ids'],
                presence=presence,
                scores=scores,
                areas=areas,
                fb_areas=fb_areas))

    def _areas(self, sample: dict) -> tuple[list[list[int]], list[list[int]]]:
        """``areas`` and ``fb_areas`` of an episode, see :meth:`process`."""
        truth = sample['gt_sem_seg']['data'].squeeze(0).cpu()
        prediction = _get(sample, 'pred_sem_seg')['data'].squeeze(0).cpu()
        if truth.shape != prediction.shape:
            raise ValueError(
                f"episode {sample['episode']}: the prediction is "
                f'{tuple(prediction.shape)}, but the mask of '
                f"'{sample['query_path']}' {tuple(truth.shape)}")
        confusion = confusion_matrix(
            prediction, truth, 1 + len(sample['class_ids']), self.void)
        return areas_of(confusion)[1:].tolist(), foreground_areas(confusion).tolist()

    def _write(self, sample: dict) -> None:
        """Write the label map of an episode."""
        label_map = _get(sample, 'pred_sem_seg')['data'].squeeze(0).cpu().numpy()
        stem = file_stem(Path(sample['query_path']).stem)
        name = f"{sample['episode']:06d}_{stem}.png"
        # Whole: two ranks may write an episode that fills up their shares.
        with whole_file(Path(self.output_dir or '', name)) as path:
            Image.fromarray(label_map.astype(np.uint8)).save(path, format='PNG')

    def evaluate(self, size: int) -> dict[str, float]:
        """Metrics over all ranks; with ``format_only`` none, {}."""
        if not self.format_only:
            return super().evaluate(size)
        MMLogger.get_current_instance().info(
            f"label maps are in '{self.output_dir}'; nothing was scored")
        return {}

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Metrics of all episodes.

        Returns:
            dict: in per cent ``exact_ratio``, ``presence_AUC``, ``ECE``, ``mIoU`` and
            ``FB-IoU``, each with the ends of its interval, ``<name>_low`` and
            ``<name>_high``; ``AURC``, ``way_accuracy``, ``way_accuracy.<n>`` of the
            n-th ways, n = 1..N, ``IoU.<class>``; and the number of ``episodes``. No
            IoUs where an episode has no mask, no ``presence_AUC`` without both truths.
        """
        if not results:
            raise ValueError('no episode was evaluated')
        right = np.array([
            [(score > 0.5) == present
             for score, present in zip(result['scores'], result['presence'])]
            for result in results])
        # The first row is the episodes themselves, the others are resamples.
        counts = np.vstack([np.ones(len(results)), resample_counts(len(results))])
        scores = dict(exact_ratio=100 * counts @ right.all(axis=1) / len(results))
        presence = presence_predictions(results)
        weights = counts.repeat(right.shape[1], axis=1)
        areas = area_under_roc(*presence, weights)
        if not np.isnan(areas[0]):
            scores['presence_AUC'] = areas[~np.isnan(areas)]
        scores['ECE'] = calibration_error(*presence, weights)
        class_ious: dict[str, float] = {}
        if all(result['areas'] is not None for result in results):
            ious = self._ious(counts, self._class_areas(results))
            fb_ious = self._ious(counts, np.array([r['fb_areas'] for r in results]))
            scores.update({'mIoU': self._mean(ious), 'FB-IoU': self._mean(fb_ious)})
            class_ious = dict(zip(self._names(), ious[0].tolist()))
        metrics = {}
        for name, values in scores.items():
            metrics[name] = float(values[0])
            metrics[f'{name}_low'], metrics[f'{name}_high'] = percentile_interval(
                values[1:])
        metrics['AURC'] = 100 * float(risk_coverage(*presence).mean())
        metrics['way_accuracy'] = 100 * float(right.mean())
        for way, share in enumerate(right.mean(axis=0), start=1):
            metrics[f'way_accuracy.{way}'] = 100 * float(share)
        metrics.update({f'IoU.{name}': iou for name, iou in class_ious.items()
                        if not np.isnan(iou)})
        metrics['episodes'] = float(len(results))  # MMEngine's log drops integers
        self.summary, self.episodes = metrics, results
        self._log_tables()
        return metrics

    def _names(self) -> list[str]:
        meta = self.dataset_meta
        return [meta['classes'][number - 1] for number in meta['class_ids']]

    def classes_without_iou(self) -> list[str]:
        """Classes that the last evaluation's mIoU leaves out: no pixel shows them."""
        return [name for name in self._names() if f'IoU.{name}' not in self.summary]

    def _class_areas(self, results: list[dict]) -> np.ndarray:
        """Intersection and union by episode and class, (E, C, 2), 0 where absent."""
        class_ids = list(self.dataset_meta['class_ids'])
        areas = np.zeros((len(results), len(class_ids), 2))
        for row, result in zip(areas, results):
            row[[class_ids.index(n) for n in result['class_ids']]] = result['areas']
        return areas

    @staticmethod
    def _ious(counts: np.ndarray, areas: np.ndarray) -> np.ndarray:
        """IoU from summed areas, per cent; nan without a union.

        Args:
            counts: (R, E) how often each episode counts.
            areas: (E, C, 2) intersection and union.

        Returns:
            np.ndarray: (R, C)
        """
        both, either = np.moveaxis(np.tensordot(counts, areas, axes=1), 2, 0)
        return 100 * np.divide(
            both, either, out=np.full_like(both, np.nan), where=either > 0)

    @staticmethod
    def _mean(ious: np.ndarray) -> np.ndarray:
        """Mean over the columns that are not nan, 0 where all are: (R, C) -> (R,)."""
        return np.nansum(ious, axis=1) / np.maximum((~np.isnan(ious)).sum(axis=1), 1)

    def _log_tables(self) -> None:
        meta, summary = self.dataset_meta, self.summary
        rows: list[tuple[str, str, str]] = []
        for name, absence in (
                ('exact_ratio', ''), ('presence_AUC', 'one truth'), ('ECE', ''),
                ('mIoU', 'no masks'), ('FB-IoU', 'no masks')):
            if name in summary:
                low, high = summary[f'{name}_low'], summary[f'{name}_high']
                rows.append(
                    (name, f'{summary[name]:.2f}', f'{low:.2f} .. {high:.2f}'))
            else:
                rows.append((name, absence, ''))
        rows += [(name, f'{value:.2f}', '') for name, value in summary.items()
                 if name.startswith(('AURC', 'way_accuracy'))]
        table = text_table(('per cent', 'value', '95 % interval'), rows)
        if 'mIoU' in summary:
            ious = {name: summary.get(f'IoU.{name}') for name in self._names()}
            classes = text_table(('class', 'IoU'), [
                (name, 'none, left out' if iou is None else f'{iou:.2f}')
                for name, iou in ious.items()])
        else:
            missing = sum(episode['areas'] is None for episode in self.episodes)
            classes = (f'no mask was there for the query of {missing} episodes: '
                       'presence alone is scored')
        choice = meta.get('episode_choice', '')
        MMLogger.get_current_instance().info(
            f"{self.protocol}, {choice}{', ' * bool(choice)}"
            f"fold {meta.get('fold')}, {meta['way']}-way "
            f"{meta['shot']}-shot, {summary['episodes']:.0f} episodes, void as "
            f'{self.void}\n{table}\n{classes}')
