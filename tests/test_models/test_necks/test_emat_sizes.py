"""EMAT, a CorrelationTransformer of other kernels: its size, and on photographs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from torch import nn

from mmwsfs.models import FewShotSegmentor
from mmwsfs.registry import DATASETS, MODELS
from mmwsfs.structures import ViTFeatures

CONFIGS = Path(__file__).parents[3] / 'configs'
EMAT = CONFIGS / 'wsfs/emat_dinov2-vit-s_pascal5i_1shot_pixel.py'
SIZE = 70  # pixels: 5 x 5 patches


def build(neck: dict, heads: dict, patch_size: int = 14) -> FewShotSegmentor:
    """On a frozen ViT-S without weights of its own."""
    backbone = dict(
        type='DINOVisionTransformer', arch='deit-small', img_size=28,
        patch_size=patch_size)
    return FewShotSegmentor(
        backbone, dict(type='CorrelationTransformer', **neck),
        dict(type='FewShotClsHead', **heads), dict(type='FewShotSegHead', **heads),
        supervision='pixel')


def emat() -> FewShotSegmentor:
    return build(dict(kernels=(5, 4), channels=(32, 64)), dict(channels=(32, 32)))


def trained_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_four_times_fewer_parameters_than_cst():
    """Section 9, neck and heads together."""
    with torch.device('meta'):
        cst, few = (
            trained_parameters(model) for model in (build({}, {}), emat()))
    assert (cst, few) == (366_004, 70_036)
    assert cst >= 4 * few


@torch.no_grad()
def test_sizes():
    """700 x 700 pixels, 50 x 50 query tokens, 401 support tokens, a frozen ViT-S/14."""
    with torch.device('meta'):
        model = emat()
        features = model.backbone.extract(torch.empty(1, 3, 700, 700))
    assert model.backbone.frozen and features.grid == (50, 50)
    model.to_empty(device='cpu')
    for part in (model.neck, model.cls_head, model.seg_head):
        for parameter in part.parameters():
            nn.init.normal_(parameter, std=0.1)
    seen = []
    reduce = model.neck._reduce
    model.neck._reduce = lambda *args: seen.append(args) or reduce(*args)
    query, support = (
        ViTFeatures(*(torch.randn(tensor.shape) for tensor in (
            features.tokens, features.cls_query, features.keys)), features.grid)
        for _ in range(2))
    mask = torch.zeros(1, 700, 700, dtype=torch.bool)
    mask[:, 200:350, 200:350] = True
    presence, segmentation = model.pair_logits(
        query, model.embed_supports(support, mask))
    (query_tokens, support_tokens, keep, _), = seen
    assert query_tokens.shape == (72, 2500, 64)
    assert support_tokens.shape == (12, 401, 384)
    assert 1 < keep[0].sum() < 401 / 10
    assert presence.shape == (1, 2)
    assert segmentation.shape == (1, 2, 700, 700)


@pytest.mark.parametrize('name', [EMAT.name, EMAT.name.replace('_pixel', '')])
def test_the_configs_are_of_these_sizes(name):
    """700 x 700 pixels on patches of 14, and no other network than above."""
    config = Config.fromfile(EMAT.with_name(name))
    config.model.backbone.init_cfg = None
    for loader in (config.train_dataloader, config.val_dataloader,
                   config.test_dataloader):
        assert loader.dataset.img_size == 700
    with torch.device('meta'):
        model, expected = MODELS.build(config.model), emat()
    assert model.backbone.patch_size == 14 and model.backbone.frozen
    found, wanted = (
        {name: value.shape for name, value in one.state_dict().items()
         if not name.startswith('backbone.')} for one in (model, expected))
    assert found == wanted
    assert model.neck.support_size == 20


@pytest.fixture
def episodes(shared_data, monkeypatch):
    """The pixel config at 70 x 70 pixels: a tiny model, 2-way 3-shot episodes."""
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(shared_data))
    monkeypatch.setenv('MMWSFS_SPLITS', 'pascal5i_subset')
    monkeypatch.setenv('MMWSFS_FOLD', '1')
    monkeypatch.setenv('MMWSFS_WAY', '2')
    monkeypatch.setenv('MMWSFS_SHOT', '3')
    config = Config.fromfile(EMAT)
    config.test_dataloader.dataset.img_size = SIZE
    config.model.backbone.update(
        arch=dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48),
        img_size=SIZE, init_cfg=None)
    return config.model, DATASETS.build(config.test_dataloader.dataset)


@torch.no_grad()
def test_k_shot_prediction_is_the_mean_over_shots(episodes, one_thread):
    """Section 8: mean of the shots' probabilities, both tasks; one shot at a time."""
    torch.manual_seed(0)
    settings, dataset = episodes
    model: FewShotSegmentor = MODELS.build(settings).eval()
    for head in (model.cls_head, model.seg_head):
        head.layers[-1].weight.mul_(300)  # untrained heads hardly tell shots apart
    batch = pseudo_collate([dataset[0], dataset[1]])
    data = model.data_preprocessor(batch)
    results = model.test_step(batch)
    assert len(results) == 2
    for number, result in enumerate(results):
        masks = data['data_samples'][number].support_masks
        assert masks.shape == (2, 3, SIZE, SIZE) and masks.any()
        query = model.backbone.extract(data['inputs']['query'][number][None])
        size = tuple(result.seg_probs.data.shape[-2:])
        for way in range(2):
            presence, foreground = [], []
            for shot in range(3):
                support = model.backbone.extract(
                    data['inputs']['support'][number][way, shot][None])
                cls_map, seg_map = model.neck(
                    query, support, masks[way, shot][None] > 0)
                presence.append(model.cls_head(cls_map)[0].softmax(dim=0)[1])
                logits = nn.functional.interpolate(
                    model.seg_head(seg_map, (SIZE, SIZE)), size, mode='bilinear',
                    align_corners=True)
                foreground.append(logits[0].softmax(dim=0)[1])
            torch.testing.assert_close(
                result.presence_scores[way], sum(presence) / 3, rtol=0, atol=1e-4)
            torch.testing.assert_close(
                result.seg_probs.data[way], sum(foreground) / 3, rtol=0, atol=1e-3)
            assert max(presence) - min(presence) > 0.01
            assert foreground[0].std() > 0.01
