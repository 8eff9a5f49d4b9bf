"""FewShotVisualizationHook: pictures of test episodes."""
from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.structures import PixelData
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


@pytest.fixture
def sample(tmp_path: Path) -> FewShotDataSample:
    """A 2-way 1-shot episode, number 6, with predictions."""
    for index, name in enumerate('qab'):
        pixels = np.full((8, 12, 3), (200, 40 * index, 10), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f'{name}.png')
    sample = FewShotDataSample(metainfo=dict(
        episode=6, query_path=str(tmp_path / 'q.png'), class_ids=[3, 1],
        support_paths=[[str(tmp_path / 'a.png')], [str(tmp_path / 'b.png')]]))
    sample.support_masks = torch.ones(2, 1, 4, 4, dtype=torch.uint8)
    sample.presence_scores = torch.tensor([0.25, 0.75])
    sample.gt_sem_seg = PixelData(data=torch.full((1, 8, 12), 2))
    sample.pred_sem_seg = PixelData(data=torch.full((1, 8, 12), 1))
    return sample


class Visualizer:
    """Notes what it is asked to draw."""

    def __init__(self) -> None:
        self.episodes, self.images, self.shown = [], [], []

    def draw_episode(self, *args, **kwargs) -> str:
        self.episodes.append((args, kwargs))
        return 'picture'

    def add_image(self, *args) -> None:
        self.images.append(args)

    def show(self, *args, **kwargs) -> None:
        self.shown.append((args, kwargs))


def run(hook: FewShotVisualizationHook, sample: FewShotDataSample) -> Visualizer:
    visualizer = Visualizer()
    dataset = SimpleNamespace(metainfo=dict(classes=CLASSES))
    runner = SimpleNamespace(
        visualizer=visualizer, test_dataloader=SimpleNamespace(dataset=dataset))
    hook.after_test_iter(runner, 0, {}, [sample])
    return visualizer


def test_what_is_drawn(sample: FewShotDataSample) -> None:
    """Images as RGB, class names by absolute number, truth and prediction apart."""
    visualizer = run(FewShotVisualizationHook(draw=True, interval=3), sample)
    (query, supports, names), kwargs = visualizer.episodes[0]
    assert query.shape == (8, 12, 3) and query[0, 0].tolist() == [200, 0, 10]
    assert [[image[0, 0].tolist() for image in images] for images in supports] == [
        [[200, 40, 10]], [[200, 80, 10]]]
    assert names == ['cow', 'ant']
    assert kwargs['support_masks'].shape == (2, 1, 4, 4)
    assert (kwargs['truth'] == 2).all() and (kwargs['prediction'] == 1).all()
    assert kwargs['scores'] == [0.25, 0.75]
    assert visualizer.images == [('episode', 'picture', 6)]
    assert not visualizer.shown


def test_show(sample: FewShotDataSample) -> None:
    """``show`` opens a window for as long as asked; other episodes are passed over."""
    hook = HOOKS.build(dict(
        type='FewShotVisualizationHook', draw=True, interval=6, show=True, wait_time=1))
    assert run(hook, sample).shown == [(('picture', ), dict(wait_time=1))]
    hook.interval = 4
    visualizer = run(hook, sample)
    assert not (visualizer.episodes or visualizer.images or visualizer.shown)
