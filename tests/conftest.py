"""Fixtures that the tests share: real data, a tiny dataset, a tiny model."""
from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed
from browser import chromium
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image

from mmwsfs.datasets import Pascal5iDataset

SHARED_DATA = Path(__file__).parents[2] / 'shared/data'
# (height, width) of the three images of a class.
SIZES = ((40, 50), (50, 40), (45, 45))


def pytest_configure(config: pytest.Config) -> None:
    """Tests side by side (``pytest -n 2``) share the cores: a thread for each process.

    The processes inherit it, and so do those that tests start.
    """
    if config.getoption('numprocesses', None):
        os.environ.update(OMP_NUM_THREADS='1', OMP_WAIT_POLICY='passive')


@pytest.fixture(autouse=True)
def default_scope() -> Iterator[None]:
    """Every test starts, and leaves the next one, with the scope of mmwsfs."""
    with DefaultScope.overwrite_default_scope('mmwsfs'):
        yield


@pytest.fixture(autouse=True)
def trusting_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tools forbid their process to unpickle; tests show that without it a file acts.

    The tools of one test run in the process of the next.
    """
    monkeypatch.delenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', raising=False)


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """Real images and the published lists; see the folder's design notes."""
    if not SHARED_DATA.is_dir():
        reason = "the folder 'shared/data' beside the repository is absent"
        if os.environ.get('CI'):
            pytest.fail(f'{reason}: CI must not skip the tests that need it')
        pytest.skip(reason)
    return SHARED_DATA


@pytest.fixture(scope='module')
def browser() -> Iterator[Any]:
    """Chromium. It ends with the module: while it runs, this thread has a running event
    loop, which a notebook's tests would be refused by."""
    with chromium() as started:
        yield started


def _mask(number: int, other: int | None, size: tuple[int, int]) -> np.ndarray:
    """An object of 20x24 pixels within a rim of void, and perhaps a small one."""
    mask = np.zeros(size, np.uint8)
    mask[5:27, 5:31] = 255
    mask[6:26, 6:30] = number
    if other:
        mask[28:38, 8:20] = other
    return mask


@pytest.fixture(scope='session')
def tiny_voc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 classes of 3 + 3 images of about 40x50 pixels, in the layout of VOC.

    The first image of each class shows a second, smaller object of the fold. The
    lists are ``splits/tiny``. All tests share the folder: it is not to be changed.
    """
    root = tmp_path_factory.mktemp('tiny_voc')
    images = root / 'VOCdevkit/VOC2012/JPEGImages'
    masks = root / 'VOCdevkit/VOC2012/SegmentationClassAug'
    images.mkdir(parents=True)
    masks.mkdir()
    rng = np.random.default_rng(0)
    palette = [0, 0, 0, *rng.integers(0, 256, 3 * 255).tolist()]
    for split in ('trn', 'val'):
        lists = root / 'splits/tiny' / split
        lists.mkdir(parents=True)
        for fold in range(4):
            lines = []
            for number in range(5 * fold + 1, 5 * fold + 6):
                for index, size in enumerate(SIZES):
                    name = f'{split}_{number:02d}_{index}'
                    other = None
                    if index == 0:  # shows the next class of the fold as well
                        other = 5 * fold + number % 5 + 1
                    pixels = rng.integers(0, 256, (6, 6, 3), np.uint8)
                    Image.fromarray(pixels).resize(size[::-1]).save(
                        images / f'{name}.jpg', quality=90)
                    label = Image.fromarray(_mask(number, other, size))
                    label.putpalette(palette)
                    label.save(masks / f'{name}.png')
                    lines += [f'{name}__{n:02d}\n' for n in (number, other) if n]
            (lists / f'fold{fold}.txt').write_text(''.join(lines))
    return root


@pytest.fixture
def tiny_voc_without_masks(tiny_voc: Path, tmp_path: Path) -> Path:
    """``tiny_voc`` as one has it who has image-level labels only."""
    root = tmp_path / 'without_masks'
    voc = root / 'VOCdevkit/VOC2012'
    voc.mkdir(parents=True)
    (voc / 'JPEGImages').symlink_to(tiny_voc / 'VOCdevkit/VOC2012/JPEGImages')
    (root / 'splits').symlink_to(tiny_voc / 'splits')
    return root


@pytest.fixture
def tiny_dataset(tiny_voc: Path) -> Callable[..., Pascal5iDataset]:
    """Makes a ``Pascal5iDataset`` on ``tiny_voc``: fold 0, val, without transforms, if
    not told other."""
    def build(root: Path = tiny_voc, **kwargs) -> Pascal5iDataset:
        settings = dict(
            data_root=str(root), lists='splits/tiny', fold=0, split='val', pipeline=[])
        return Pascal5iDataset(**{**settings, **kwargs})
    return build


@pytest.fixture
def make_pipeline() -> Callable[..., list[dict]]:
    """Makes an episode pipeline as the configs have it, for a small image size."""
    def build(query_mask: bool = False, support_mask: bool = False,
              size: int = 32) -> list[dict]:
        load = dict(type='LoadImageFromFile', imdecode_backend='pillow')
        resize = dict(type='Resize', scale=(size, size), backend='pillow')
        mask = dict(type='LoadLabelMap')
        return [
            dict(
                type='EpisodeTransform',
                query=[load, resize] + [mask] * query_mask,
                support=[load] + [mask] * support_mask + [resize]),
            dict(type='PackEpisodeInputs'),
        ]
    return build


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Tiny tensors are not worth threads, which cost much on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def on_ranks(one_thread: None, tmp_path: Path) -> Callable[..., list]:
    """Call ``on_ranks(function, world_size=2)`` for what it returns on every rank.

    Each rank is a process of its own, forked from this one, in a group of gloo, where
    none waits longer than ``limit`` seconds for another.
    """
    def run(function: Callable[[], object], world_size: int = 2,
            limit: float = 60) -> list:
        folder = Path(tempfile.mkdtemp(dir=tmp_path))

        def work(rank: int) -> None:
            status = 1
            try:
                os.environ.update(
                    RANK=str(rank), LOCAL_RANK='-1', WORLD_SIZE=str(world_size))
                torch.distributed.init_process_group(
                    'gloo', init_method=f'file://{folder}/store', rank=rank,
                    world_size=world_size, timeout=timedelta(seconds=limit))
                torch.save(function(), folder / f'{rank}.pth')
                torch.distributed.barrier()
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)  # no test goes on in this process

        processes = [
            multiprocessing.get_context('fork').Process(target=work, args=(rank, ))
            for rank in range(world_size)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0] * world_size
        return [torch.load(folder / f'{rank}.pth', weights_only=True)
                for rank in range(world_size)]
    return run


@pytest.fixture
def tiny_model(one_thread: None) -> dict:
    """Config of a ``FewShotSegmentor`` with random weights for 32x32 images."""
    return dict(
        type='FewShotSegmentor',
        data_preprocessor=dict(
            type='FewShotDataPreProcessor',
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375]),
        backbone=dict(
            type='DINOVisionTransformer',
            arch=dict(embed_dims=16, num_layers=2, num_heads=2,
                      feedforward_channels=32),
            img_size=32,
            patch_size=8),
        neck=dict(
            type='CorrelationTransformer', channels=(16, 16), kernels=(2, 2)),
        cls_head=dict(type='FewShotClsHead'),
        seg_head=dict(type='FewShotSegHead'),
        supervision='image',
        labeler=dict(type='AttentionLabeler', adaptive=0.5))


@pytest.fixture
def tiny_config(tiny_voc: Path, tiny_model: dict, tmp_path: Path,
                make_pipeline: Callable[..., list[dict]]) -> Config:
    """Trains ``tiny_model`` on ``tiny_voc`` from image-level labels for two steps."""
    source = dict(
        type='Pascal5iDataset', data_root=str(tiny_voc), lists='splits/tiny', fold=0)
    return Config(dict(
        default_scope='mmwsfs',
        experiment_name=tmp_path.name,
        work_dir=str(tmp_path / 'work'),
        log_level='WARNING',
        randomness=dict(seed=3),
        model=tiny_model,
        train_dataloader=dict(
            batch_size=4,
            num_workers=0,
            sampler=dict(type='TrainEpisodeSampler'),
            dataset=dict(
                **source, split='trn', masks='none', pipeline=make_pipeline())),
        test_dataloader=dict(
            batch_size=2,
            num_workers=0,
            sampler=dict(type='EvalEpisodeSampler'),
            dataset=dict(
                **source, split='val', num_episodes=5,
                pipeline=make_pipeline(query_mask=True))),
        test_evaluator=dict(type='FewShotMetric'),
        optim_wrapper=dict(
            type='OptimWrapper',
            constructor='TrainableOptimWrapperConstructor',
            optimizer=dict(type='Adam', lr=1e-3)),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=2),
        test_cfg=dict(type='TestLoop'),
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=False),
            checkpoint=None,
            visualization=dict(type='FewShotVisualizationHook')),
        custom_hooks=[dict(type='PseudoLabelHook')],
        visualizer=dict(
            type='EpisodeVisualizer', vis_backends=[dict(type='LocalVisBackend')]),
        log_processor=dict(by_epoch=False)))
