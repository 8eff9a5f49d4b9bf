from __future__ import annotations

from mmengine.dist import broadcast, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmwsfs.engine.metric_fitting import MetricFitter
from mmwsfs.models import DiscriminantMetric
from mmwsfs.registry import HOOKS

from .bare_model import bare_model


@HOOKS.register_module()
class DiscriminantMetricHook(Hook):
    """Fits the neck's :class:`~mmwsfs.models.DiscriminantMetric` before training.

    To all training images: their masks where they carry some, else the labeler's
    pseudo-masks; therefore after a :class:`PseudoLabelEnhancerHook`. It is part of the
    checkpoint and is not fitted again where a run resumes.
    """

    priority = 'BELOW_NORMAL'  # what trains the labeler is NORMAL

    def before_train(self, runner: Runner) -> None:
        """Fit on the main process, then share.

        Raises:
            TypeError: the model's neck has no :class:`DiscriminantMetric`.
            ValueError: see :class:`MetricFitter`.
        """
        model = bare_model(runner)
        metric = getattr(model.neck, 'metric', None)
        if not isinstance(metric, DiscriminantMetric):
            raise TypeError(
                'DiscriminantMetricHook fits the metric of the neck, but model.neck '
                "has none: set model.neck.metric=dict(type='DiscriminantMetric')")
        if runner.iter > 0:
            runner.logger.info('metric: as it is in the checkpoint')
            return
        if is_main_process():
            labeler = None if model.supervision == 'pixel' else model.labeler
            fitter = MetricFitter(
                metric, labeler, runner.train_dataloader.dataset, model.extract_image)
            with runner.optim_wrapper.optim_context(runner.model):
                masked = fitter.fit()
            counts = fitter.sums.counts[1:]
            runner.logger.info(
                f'metric: fitted to {int(counts.sum())} objects of '
                f'{int((counts > 0).sum())} classes in {fitter.sums.images} images, of '
                f'which {masked} carry masks')
        for buffer in metric.buffers():
            broadcast(buffer)
