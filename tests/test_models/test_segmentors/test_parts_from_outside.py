"""A labeler and a backbone that the package does not know, by config alone."""

import copy

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.model import BaseModule
from mmengine.runner import Runner
from torch import nn

from mmwsfs.registry import MODELS
from mmwsfs.structures import ViTFeatures


class CentreLabeler(nn.Module):
    """Calls the middle of every image the object: a labeler needs no more than this."""

    def __init__(self, margin: float) -> None:
        super().__init__()
        self.margin = margin  # share of a side

    def forward(self, support, image, size, classes=None):
        masks = torch.zeros(len(image), *size, dtype=torch.bool)
        top, left = (int(self.margin * side) for side in size)
        masks[:, top:-top, left:-left] = True
        return masks


class ConvBackbone(BaseModule):
    """Three strided convolutions as blocks; no transformer at all."""

    num_layers, num_heads, embed_dims, frozen = 3, 4, 20, True

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.blocks = nn.ModuleList(nn.Conv2d(3, 20, 1) for _ in range(3))
        self.requires_grad_(False)

    @torch.no_grad()
    def extract(self, images):
        images = F.avg_pool2d(images, self.stride)
        patches = torch.stack(
            [block(images).flatten(2).transpose(1, 2) for block in self.blocks], dim=1)
        tokens = torch.cat([patches.mean(dim=2, keepdim=True), patches], dim=2)
        heads = tokens[:, -1].unflatten(-1, (4, 5)).transpose(1, 2)
        return ViTFeatures(
            tokens, heads[:, :, 0], heads[:, :, 1:], tuple(images.shape[-2:]))


@pytest.fixture
def registered():
    """Both under their names, as a module of ``custom_imports`` registers them."""
    parts = (CentreLabeler, ConvBackbone)
    for part in parts:
        MODELS.register_module(module=part)
    yield
    for part in parts:
        MODELS.module_dict.pop(part.__name__)


LABELER = dict(type='CentreLabeler', margin=0.2)
BACKBONE = dict(type='ConvBackbone', stride=4)
PARTS = dict(
    metric=dict(type='DiscriminantMetric'), prototypes=dict(type='PrototypeMaps'),
    prior=dict(type='WholeImagePrior'))


@pytest.fixture
def batch(make_batch):
    """1-way 1-shot episodes without any mask."""
    return make_batch(batch=2, way=1, shot=1, masks=False, presence=[[True], [False]])


def test_a_labeler(registered, tiny_model, batch):
    """Its masks are the support masks and the targets, and are handed back."""
    model = MODELS.build(dict(tiny_model, labeler=LABELER))
    losses = model.loss(*batch)
    assert all(torch.isfinite(loss) for loss in losses.values())
    for result in model.eval()(*batch, mode='predict'):
        expected = torch.zeros(48, 48)
        expected[9:-9, 9:-9] = 1
        assert torch.equal(result.support_masks[0, 0].float(), expected)


@pytest.mark.parametrize('parts', [{}, PARTS], ids=['plain', 'all_parts'])
def test_a_backbone(registered, tiny_model, batch, parts):
    """All sizes follow it: neck, heads and every optional part fit without a word."""
    before = copy.deepcopy(tiny_model)
    model = MODELS.build(dict(tiny_model, **parts, backbone=BACKBONE))
    assert tiny_model == before
    assert model.neck.blocks[0].qkv.in_channels == 3 * 4
    losses = model.loss(*batch)
    sum(losses.values()).backward()
    for name, weight in model.named_parameters():
        assert (weight.grad is not None) == weight.requires_grad, name
    for result in model.eval()(*batch, mode='predict'):
        assert result.seg_probs.data.shape == (1, 48, 48)
        assert 0 < result.support_masks.float().mean() < 1


def test_an_enhanced_labeler_follows_it_too(registered, tiny_model, batch):
    """Its network takes as many head maps as the backbone has heads."""
    model = MODELS.build(dict(
        tiny_model, backbone=BACKBONE, supervision='mixed', labeler=dict(
            type='EnhancedLabeler', enhancer=dict(type='PseudoLabelEnhancer'),
            probe=dict(type='ClassProbe', num_classes=5, layers=(0, 2)))))
    assert model.labeler.enhancer.layers[0].in_channels == 4
    assert model.labeler.probe.planes.shape == (5, 2 * 20)
    assert all(torch.isfinite(loss) for loss in model.loss(*batch).values())


def test_a_run(registered, tiny_config: Config):
    """Trains and tests with both, cached features and a metric, by config alone."""
    model = tiny_config.model
    model.backbone, model.labeler = BACKBONE, LABELER
    model.metric, model.cache = PARTS['metric'], dict(ram_gb=0.01)
    tiny_config.default_hooks.update(
        feature_cache=dict(type='FeatureCacheHook'), fitting=dict(type='FittingHook'))
    runner = Runner.from_cfg(tiny_config)
    runner.train()
    assert runner.iter == 2 and len(runner.model.cache) > 5
    eye = torch.eye(20).expand(3, -1, -1)
    assert not torch.equal(runner.model.metric.matrix, eye)
    metrics = runner.test()
    assert metrics and all(0 <= value <= 100 for value in metrics.values())
