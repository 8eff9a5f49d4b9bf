"""FewShotVisualizationHook: pictures of test episodes."""
from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image

from mmwsfs.engine import FewShotVisualizationHook
from mmwsfs.registry import HOOKS
from mmwsfs.structures import FewShotDataSample

CLASSES = ('ant', 'bee', 'cow')


def test_every_interval_th_episode_is_drawn(
        tiny_config: Config, tmp_path: Path) -> None:
    """In a real test run: the episodes whose number the interval divides."""
    tiny_config.default_hooks.visualization.update(draw=True, interval=2)
    tiny_config.visualizer.save_dir = str(tmp_path / 'show')
    Runner.from_cfg(tiny_config).test()
    files = sorted((tmp_path / 'show').rglob('*.png'))
    assert [file.name for file in files] == [
        'episode_0.png', 'episode_2.png', 'episode_4.png']
    for file in files:
        with Image.open(file) as image:  # support, query, truth, prediction
            assert image.size[0] == 4 * 200


def test_nothing_is_drawn_by_default(tiny_config: Config, tmp_path: Path) -> None:
    """Pictures come only when they are asked for."""
    Runner.from_cfg(tiny_config).test()
    assert not list(tmp_path.rglob('episode_*.png'))


class Visualizer:
    """Notes what it is asked to draw."""

    def __init__(self) -> None:
        self.drawn, self.images, self.shown = [], [], []

    def draw_sample(self, *args) -> str:
        self.drawn.append(args)
        return 'picture'

    def add_image(self, *args) -> None:
        self.images.append(args)

    def show(self, *args, **kwargs) -> None:
        self.shown.append((args, kwargs))


def run(hook: FewShotVisualizationHook, numbers: list[int]) -> Visualizer:
    """Give the hook a batch of episodes."""
    visualizer = Visualizer()
    dataset = SimpleNamespace(metainfo=dict(classes=CLASSES))
    runner = SimpleNamespace(
        visualizer=visualizer, test_dataloader=SimpleNamespace(dataset=dataset))
    samples = [FewShotDataSample(metainfo=dict(episode=j)) for j in numbers]
    hook.after_test_iter(runner, 0, {}, samples)
    assert [sample.episode for sample, _ in visualizer.drawn] == [
        step for _, _, step in visualizer.images]
    return visualizer


def test_batches() -> None:
    """The number of the episode counts, not its place in a batch or the batch's."""
    hook = HOOKS.build(dict(type='FewShotVisualizationHook', draw=True))
    visualizer = run(hook, [49, 50, 51, 100])
    assert visualizer.images == [
        ('episode', 'picture', 50), ('episode', 'picture', 100)]
    assert all(classes == CLASSES for _, classes in visualizer.drawn)
    assert not visualizer.shown
    assert not run(FewShotVisualizationHook(), [0, 50]).drawn


def test_show() -> None:
    """``show`` opens a window for as long as asked."""
    hook = FewShotVisualizationHook(draw=True, interval=3, show=True, wait_time=1)
    assert run(hook, [4, 6]).shown == [(('picture', ), dict(wait_time=1))]
