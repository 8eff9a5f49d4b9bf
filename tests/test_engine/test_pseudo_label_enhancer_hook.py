"""PseudoLabelEnhancerHook: what its first stage refuses, and few masks."""
from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import Runner


@pytest.fixture
def mixed_config(tiny_config: Config) -> Config:
    """``tiny_config`` with an enhancer and masks that the pipeline loads."""
    tiny_config.model.labeler = dict(
        type='EnhancedLabeler', enhancer=dict(type='PseudoLabelEnhancer', num_heads=2))
    dataset = tiny_config.train_dataloader.dataset
    dataset.with_masks = True
    for role in ('query', 'support'):
        dataset.pipeline[0][role].insert(1, dict(type='LoadLabelMap'))
    tiny_config.custom_hooks = [dict(
        type='PseudoLabelEnhancerHook', steps=2, interval=1, batch_size=2, partners=1)]
    tiny_config.test_dataloader = tiny_config.test_evaluator = None
    tiny_config.test_cfg = None
    return tiny_config


def masked_list(cfg: Config, folder: Path, count: int) -> None:
    """Masks for the first images of the first ``count`` base classes."""
    path = folder / 'masked.txt'
    path.write_text(''.join(f'trn_{6 + number:02d}_1\n' for number in range(count)))
    cfg.train_dataloader.dataset.mask_list = str(path)


@pytest.mark.parametrize('count', [1, 4, 5])
def test_each_image_is_extracted_once(
        mixed_config: Config, tmp_path: Path, image_reads: Counter[str],
        count: int) -> None:
    """Also with fewer than 5 masks, where training and validation images are one."""
    masked_list(mixed_config, tmp_path, count)
    mixed_config.train_cfg.max_iters = 0
    runner = Runner.from_cfg(mixed_config)
    runner.train()
    assert image_reads and set(image_reads.values()) == {1}
    names = (Path(runner.work_dir) / 'masked_images.txt').read_text().split()
    assert len(names) == count
    assert (Path(runner.work_dir) / 'enhancer/best.pth').is_file()
    assert runner.model.supervision == 'mixed'


def test_no_image_with_a_mask(mixed_config: Config) -> None:
    """There is nothing to learn from: the error says how to give masks."""
    mixed_config.train_dataloader.dataset.with_masks = False
    runner = Runner.from_cfg(mixed_config)
    with pytest.raises(ValueError, match='no training image.*mask_ratio'):
        runner.train()


def test_the_pipeline_must_load_masks(mixed_config: Config) -> None:
    """An image-level pipeline under a mixed hook is named, with the mend."""
    for role in ('query', 'support'):
        del mixed_config.train_dataloader.dataset.pipeline[0][role][1]
    mixed_config.train_dataloader.dataset.mask_ratio = 0.5
    runner = Runner.from_cfg(mixed_config)
    with pytest.raises(ValueError, match='LoadLabelMap'):
        runner.train()


@pytest.mark.parametrize('count', [3, 5])
def test_the_probe_knows_the_classes_with_masks(
        mixed_config: Config, tmp_path: Path, count: int) -> None:
    """Only these, whether or not images are held out."""
    masked_list(mixed_config, tmp_path, count)
    mixed_config.train_cfg.max_iters = 0
    mixed_config.model.labeler.probe = dict(
        type='ClassProbe', num_classes=20, layers=(0, 1), embed_dims=16)
    runner = Runner.from_cfg(mixed_config)
    runner.train()
    names = runner.train_dataloader.dataset.masked_images
    expected = {entry['class_id'] for entry in runner.train_dataloader.dataset.data_list
                if entry['name'] in names}
    known = runner.model.labeler.probe.known
    assert {i + 1 for i in range(20) if known[i]} == expected
    assert runner.model.labeler.probe.planes.abs().sum() > 0


def test_the_probe_needs_room_for_all_classes(
        mixed_config: Config, tmp_path: Path) -> None:
    """The error names the setting and its value."""
    masked_list(mixed_config, tmp_path, 3)
    mixed_config.model.labeler.probe = dict(
        type='ClassProbe', num_classes=7, layers=(0, 1), embed_dims=16)
    runner = Runner.from_cfg(mixed_config)
    with pytest.raises(ValueError, match='num_classes is 7: set it to'):
        runner.train()
