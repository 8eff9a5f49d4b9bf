from __future__ import annotations

from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmwsfs.registry import HOOKS
from mmwsfs.structures import FewShotDataSample


@HOOKS.register_module()
class FewShotVisualizationHook(Hook):
    """Draws test episodes: supports with the masks used, query, truth, prediction.

    Takes the place of mmseg's ``SegVisualizationHook`` in ``default_hooks`` and is
    switched on by the same ``--show`` and ``--show-dir`` of the test tools. Needs the
    visualizer to be an :class:`~mmwsfs.visualization.EpisodeVisualizer`.

    Args:
        draw (bool): whether to draw at all. Defaults to False.
        interval (int): draw every so many episodes. Defaults to 50.
        show (bool): also open a window. Defaults to False.
        wait_time (float): seconds that the window stays. Defaults to 0.
    """

    def __init__(self,
                 draw: bool = False,
                 interval: int = 50,
                 show: bool = False,
                 wait_time: float = 0.) -> None:
        self.draw = draw
        self.interval = interval
        self.show = show
        self.wait_time = wait_time

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict,
                        outputs: Sequence[FewShotDataSample]) -> None:
        """Draw the batch's episodes whose number ``interval`` divides."""
        if not self.draw:
            return
        classes = runner.test_dataloader.dataset.metainfo['classes']
        for sample in outputs:
            if sample.episode % self.interval:
                continue
            picture = runner.visualizer.draw_sample(sample, classes)
            runner.visualizer.add_image('episode', picture, sample.episode)
            if self.show:
                runner.visualizer.show(picture, wait_time=self.wait_time)
