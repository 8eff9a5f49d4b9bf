"""PseudoLabelEnhancerHook: what it needs, writes and logs; it sets nothing."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmwsfs.models.pseudo_labels import enhancer_training


@pytest.fixture
def mixed_config(tiny_config: Config, monkeypatch: pytest.MonkeyPatch) -> Config:
    """``tiny_config`` with an enhancer, and masks for half of the images."""
    for name, value in (('BATCH_SIZE', 2), ('INTERVAL', 1), ('PARTNERS', 1)):
        monkeypatch.setattr(enhancer_training, name, value)
    tiny_config.model.supervision = 'mixed'
    tiny_config.model.labeler = dict(
        type='EnhancedLabeler', enhancer=dict(type='PseudoLabelEnhancer'), steps=2)
    tiny_config.train_dataloader.dataset.update(
        pipeline=None, img_size=32, masks=0.5)
    tiny_config.default_hooks.fitting = dict(type='FittingHook')
    tiny_config.custom_hooks = [dict(type='PseudoLabelEnhancerHook')]
    tiny_config.test_dataloader = tiny_config.test_evaluator = None
    tiny_config.test_cfg = None
    return tiny_config


def masked_list(cfg: Config, folder: Path, count: int) -> None:
    """Masks for the first images of the first ``count`` base classes."""
    path = folder / 'masked.txt'
    path.write_text(''.join(f'trn_{6 + number:02d}_1\n' for number in range(count)))
    cfg.train_dataloader.dataset.masks = str(path)


@pytest.mark.parametrize('count', [1, 4, 5])
def test_few_images_carry_masks(
        mixed_config: Config, tmp_path: Path, count: int) -> None:
    """Also fewer than 5, where training and validation images are one."""
    masked_list(mixed_config, tmp_path, count)
    runner = Runner.from_cfg(mixed_config)
    runner.train()
    names = (Path(runner.work_dir) / 'masked_images.txt').read_text().split()
    assert names == [f'trn_{6 + number:02d}_1' for number in range(count)]
    assert (Path(runner.work_dir) / 'enhancer/best.pth').is_file()
    assert runner.iter == 2 and runner.model.supervision == 'mixed'


def test_it_changes_nothing(mixed_config: Config) -> None:
    """The same run without it ends with the same weights."""
    with_hook = Runner.from_cfg(mixed_config)
    with_hook.train()
    bare = Config(mixed_config.to_dict())
    bare.custom_hooks = []
    bare.experiment_name += '_bare'
    bare.work_dir += '_bare'
    without = Runner.from_cfg(bare)
    without.train()
    for name, value in with_hook.model.state_dict().items():
        assert torch.equal(value, without.model.state_dict()[name]), name


def test_iou_of_images_with_masks(
        mixed_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a loop over the pixels of a step's images that carry masks."""
    mixed_config.train_cfg.max_iters = 3
    runner = Runner.from_cfg(mixed_config)
    expected = dict(support=[], query=[])
    hook = next(hook for hook in runner.hooks
                if type(hook).__name__ == 'PseudoLabelEnhancerHook')
    after = type(hook).after_train_iter

    def spy(self, runner, batch_idx, data_batch=None, outputs=None):
        for role, masks in zip(('support', 'query'), self._masks):
            both = either = 0
            for sample, mask in zip(data_batch['data_samples'], masks):
                if role == 'support':
                    truth = sample.get('support_masks')
                    truth = None if truth is None else truth[0, 0]
                else:
                    truth = sample.get('gt_sem_seg')
                    shown = truth is not None and bool(sample.gt_presence)
                    truth = truth.data[0] if shown else None
                if truth is None:
                    continue
                for a, b in zip(mask.flatten().tolist(), truth.flatten().tolist()):
                    if b != 255:
                        both += a and b == 1
                        either += a or b == 1
            if either:
                expected[role].append(both / either)
        after(self, runner, batch_idx, data_batch, outputs)

    monkeypatch.setattr(type(hook), 'after_train_iter', spy)
    runner.train()
    assert expected['support'] and expected['query']
    for role, values in expected.items():
        found = runner.message_hub.get_scalar(f'train/pseudo_{role}_iou').data[0]
        assert found.tolist() == pytest.approx(values)
        coverage = runner.message_hub.get_scalar(f'train/pseudo_{role}_coverage')
        assert np.isfinite(coverage.data[0]).all()


def test_a_labeler_that_learned_nothing_is_refused(mixed_config: Config) -> None:
    """Without the hook that lets it learn, its network is random: the mend is named."""
    del mixed_config.default_hooks['fitting']
    runner = Runner.from_cfg(mixed_config)
    with pytest.raises(ValueError, match="fitting=dict\\(type='FittingHook'\\)"):
        runner.train()


def test_masks_for_all_are_not_its_business(mixed_config: Config) -> None:
    """A model that takes all masks from the data makes none to log."""
    mixed_config.model.supervision = 'pixel'
    runner = Runner.from_cfg(mixed_config)
    with pytest.raises(
            ValueError, match="PseudoLabelEnhancerHook.*model.supervision='image'"):
        runner.train()


def test_no_image_with_a_mask(mixed_config: Config) -> None:
    """There is nothing to learn from: the error says how to give masks."""
    mixed_config.train_dataloader.dataset.masks = 'none'
    runner = Runner.from_cfg(mixed_config)
    with pytest.raises(ValueError, match='no training image.*dataset.masks'):
        runner.train()


def test_the_pipeline_must_load_masks(mixed_config: Config, make_pipeline) -> None:
    """A hand-written pipeline that loads none is named, with the mend."""
    mixed_config.train_dataloader.dataset.pipeline = make_pipeline()
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
        type='ClassProbe', num_classes=20, layers=(0, 1))
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
        type='ClassProbe', num_classes=7, layers=(0, 1))
    runner = Runner.from_cfg(mixed_config)
    with pytest.raises(ValueError, match='num_classes is 7: set it to 20'):
        runner.train()
