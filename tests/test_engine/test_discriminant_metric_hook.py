"""DiscriminantMetricHook and its fitter: what the metric learns from, and when."""
from __future__ import annotations

from collections import Counter

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmwsfs.engine.enhancer_examples import listed_classes
from mmwsfs.models import DiscriminantMetric
from mmwsfs.models.necks.discriminant_metric import MetricSums


@pytest.fixture
def metric_config(tiny_config: Config) -> Config:
    """``tiny_config``, from image-level labels, with a metric and its hook."""
    tiny_config.model.neck.metric = dict(
        type='DiscriminantMetric', num_layers=2, embed_dims=16)
    tiny_config.custom_hooks.append(dict(type='DiscriminantMetricHook'))
    tiny_config.train_cfg.max_iters = 0
    tiny_config.test_dataloader = tiny_config.test_evaluator = None
    tiny_config.test_cfg = None
    return tiny_config


def with_masks(cfg: Config, share: float | None) -> Config:
    """Masks for a share of the images, or for all."""
    dataset = cfg.train_dataloader.dataset
    dataset.update(with_masks=True, mask_ratio=share)
    for role in ('query', 'support'):
        dataset.pipeline[0][role].insert(1, dict(type='LoadLabelMap'))
    if share is None:
        del cfg.custom_hooks[0]
    else:
        cfg.custom_hooks[0] = dict(
            type='PseudoLabelEnhancerHook', steps=2, interval=1, batch_size=2,
            partners=1)
        cfg.model.labeler = dict(
            type='EnhancedLabeler',
            enhancer=dict(type='PseudoLabelEnhancer', num_heads=2))
    return cfg


def expected_metric(runner: Runner) -> DiscriminantMetric:
    """From all images' labels, pixel by pixel averaged over patches."""
    model, dataset = runner.model, runner.train_dataloader.dataset
    sums = MetricSums(2, 16, 20)
    for name, numbers in sorted(listed_classes(dataset).items()):
        image = dataset.read_image(name)
        features = model.extract_image(image['img'])
        sums.add_image(features.tokens[0])
        left = torch.ones(16)
        for number in numbers:
            if dataset.with_masks and dataset.has_mask(name):
                valid = torch.from_numpy(image['gt_seg_map'] != 255).float()
                left = left - (1 - valid).view(4, 8, 4, 8).mean(
                    dim=(1, 3)).flatten() / len(numbers)
                mask = torch.from_numpy(image['gt_seg_map'] == number).float()
                share = mask.view(4, 8, 4, 8).mean(dim=(1, 3)).flatten()
            else:
                share = model.labeler(
                    features, features, (4, 4),
                    torch.tensor([number]))[0].flatten().float()
            left = left - share
            sums.add_object(features.tokens[0, :, 1:], share, number)
        sums.add_object(features.tokens[0, :, 1:], left.clamp_min(0), 0)
    metric = DiscriminantMetric(2, 16)
    metric.fit(sums)
    return metric


@pytest.mark.parametrize('share', [0., 0.5, None])
def test_what_it_is_fitted_to(metric_config: Config, share: float | None) -> None:
    """Masks where there are some, else the labeler's, of all training images.

    After the enhancer, which makes the labels, has been trained.
    """
    cfg = metric_config if share == 0 else with_masks(metric_config, share)
    runner = Runner.from_cfg(cfg)
    runner.train()
    with torch.no_grad():
        expected = expected_metric(runner)
    for name, value in runner.model.neck.metric.state_dict().items():
        torch.testing.assert_close(
            value, expected.state_dict()[name], rtol=1e-3, atol=1e-4)


def test_each_image_is_read_once(
        metric_config: Config, image_reads: Counter[str]) -> None:
    """All of them, and no mask under image-level supervision."""
    runner = Runner.from_cfg(metric_config)
    runner.train()
    names = {entry['name'] for entry in runner.train_dataloader.dataset.data_list}
    assert set(image_reads.values()) == {1} and len(image_reads) == len(names)


def test_it_is_left_as_it_is_on_resuming(metric_config: Config) -> None:
    """What the checkpoint holds is not fitted again."""
    runner = Runner.from_cfg(metric_config)
    runner.train()
    metric = runner.model.neck.metric
    metric.matrix.fill_(7.)
    runner.train_loop._iter = 1
    runner.call_hook('before_train')
    assert (metric.matrix == 7).all()


def test_a_neck_without_metric(metric_config: Config) -> None:
    """The error says what to set."""
    metric_config.model.neck.metric = None
    with pytest.raises(TypeError, match='model.neck.metric=dict'):
        Runner.from_cfg(metric_config).train()


def test_no_mask_and_no_labeler(metric_config: Config) -> None:
    """The error names the image and the mend."""
    del metric_config.custom_hooks[0]
    metric_config.model.labeler = None
    with pytest.raises(ValueError, match="trn_06_0' carries no mask.*model.labeler"):
        Runner.from_cfg(metric_config).train()
