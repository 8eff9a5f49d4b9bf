from __future__ import annotations

import json
import time
from pathlib import Path

import mmengine
import mmseg
import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmwsfs.evaluation import FewShotMetric, bootstrap
from mmwsfs.evaluation.presence_plot import plot_presence
from mmwsfs.evaluation.presence_quality import presence_curves, presence_predictions
from mmwsfs.evaluation.report import episode_table
from mmwsfs.evaluation.selection import LAST, UNTRAINED, chosen_on
from mmwsfs.registry import HOOKS
from mmwsfs.utils.files import file_sha256, write_whole
from mmwsfs.utils.run_error import RunError
from mmwsfs.utils.run_identity import settings_digest
from mmwsfs.version import __version__

from .bare_model import bare_model


@HOOKS.register_module()
class EpisodeReportHook(Hook):
    """Writes a test's report into the folder of the run, ``WORK_DIR/TIMESTAMP``.

    - ``results.json``: the metrics with their intervals, and all that is needed to
      compare them: void convention, protocol ('FS-CS' or 'FS-S'), supervision,
      dataset, classes, checkpoint, by what that was chosen
      (:func:`~mmwsfs.evaluation.selection.chosen_on`), config, seed, versions, seconds
      of the test. Its ``presence`` has the bins of the calibration error and the
      risk-coverage curve, see
      :func:`~mmwsfs.evaluation.presence_quality.presence_curves`.
    - ``episodes.csv``: a row an episode, see
      :func:`~mmwsfs.evaluation.report.episode_table`.
    - ``presence.png``: these and the ROC curve as a picture.
    - ``episodes.json``: the episode file, to be replayed with ``--episodes``.

    The main process writes them, each in one step, so that no reader meets a part.
    The metrics are those of the evaluator's first
    :class:`~mmwsfs.evaluation.FewShotMetric`; of an evaluator that has none there is
    no report.

    Raises:
        RunError: the test is of base classes (``selection='base'``).
    """

    def __init__(self) -> None:
        self._trained = False
        self._meta: dict | None = None  # of the checkpoint that was loaded

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep what the checkpoint tells of itself."""
        self._meta = checkpoint.get('meta') or {}

    def after_train(self, runner: Runner) -> None:
        """From now on the weights are not those of ``load_from``."""
        self._trained = True

    def before_test_epoch(self, runner: Runner) -> None:
        """Start the clock, unless the test is none."""
        choice = getattr(runner.test_dataloader.dataset, 'choice', None)
        if choice is not None and choice.selection != 'novel':
            raise RunError(
                f"test_dataloader.dataset.selection='{choice.selection}': a test is of "
                "novel classes; set 'base' in val_dataloader.dataset alone")
        self._start = time.time()

    @master_only
    def after_test_epoch(self, runner: Runner,
                         metrics: dict[str, float] | None = None) -> None:
        """Write the report."""
        few_shot = [metric for metric in runner.test_evaluator.metrics
                    if isinstance(metric, FewShotMetric)]
        if not few_shot:
            runner.logger.warning(
                'EpisodeReportHook writes no report: test_evaluator has no '
                'FewShotMetric')
            return
        metric = few_shot[0]
        folder = Path(runner.log_dir)
        if metric.format_only:  # nothing was scored; this says what the ways were
            runner.test_dataloader.dataset.export_episodes(folder / 'episodes.json')
            return
        write_whole(
            folder / 'episodes.csv',
            episode_table(metric.episodes, metric.dataset_meta['classes']))
        runner.test_dataloader.dataset.export_episodes(folder / 'episodes.json')
        presence = presence_predictions(metric.episodes)
        plot_presence(folder / 'presence.png', *presence, metric.summary)
        report = self._report(runner, metric)
        write_whole(folder / 'results.json', json.dumps(report, indent=2) + '\n')
        runner.logger.info(
            f"report: '{folder}/results.json', '{folder}/presence.png', "
            f"'{folder}/episodes.csv' and, to replay, '{folder}/episodes.json'")

    def _report(self, runner: Runner, metric: FewShotMetric) -> dict:
        meta = metric.dataset_meta
        dataset = runner.test_dataloader.dataset
        settings = dict(runner.cfg.test_dataloader.dataset)
        settings.pop('pipeline', None)
        return dict(
            metrics=metric.summary,
            presence=presence_curves(*presence_predictions(metric.episodes)),
            intervals=dict(
                level=bootstrap.LEVEL,
                method='percentile bootstrap over episodes',
                resamples=bootstrap.RESAMPLES,
                seed=bootstrap.SEED),
            void=metric.void,
            protocol=metric.protocol,
            supervision=getattr(bare_model(runner), 'supervision', None),
            dataset=dict(
                type=type(dataset).__name__,
                fold=meta.get('fold'),
                way=meta['way'],
                shot=meta['shot'],
                episodes=len(metric.episodes),
                classes={
                    str(number): meta['classes'][number - 1]
                    for number in meta['class_ids']},
                classes_without_iou=metric.classes_without_iou(),
                episode_choice=meta.get('episode_choice', ''),
                settings=settings),
            checkpoint=self._checkpoint(runner),
            selection=self._selection(meta),
            config=runner.cfg.filename and Path(runner.cfg.filename).name,
            settings_sha256=settings_digest(runner.cfg),
            seed=runner.seed,
            versions=dict(
                mmwsfs=__version__, torch=torch.__version__,
                mmengine=mmengine.__version__, mmseg=mmseg.__version__),
            seconds=round(time.time() - self._start, 3))

    def _selection(self, meta: dict) -> str:
        """By what the weights were chosen."""
        if self._trained:
            return LAST
        if self._meta is None:
            return UNTRAINED
        return chosen_on(
            self._meta, [meta['classes'][number - 1] for number in meta['class_ids']])

    def _checkpoint(self, runner: Runner) -> dict | None:
        """Where the weights are from; None where they are not from a file."""
        path = runner.cfg.get('load_from')
        if path is None or self._trained:
            return None
        return dict(
            path=str(path),
            sha256=file_sha256(path) if Path(path).is_file() else None)
