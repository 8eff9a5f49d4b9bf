"""The improved short recipe: sizes of its parts fit each other, in every config."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmwsfs.registry import HOOKS, MODELS
from mmwsfs.structures import ViTFeatures

CONFIGS = Path(__file__).parents[3] / 'configs/wsfs'


@pytest.mark.parametrize(
    'path', sorted(CONFIGS.glob('*_plus*.py')), ids=lambda path: path.stem)
def test_a_step(path, one_thread):
    """Neck, heads and prior at full width: losses whose gradients reach all weights."""
    torch.manual_seed(0)
    cfg = Config.fromfile(path)
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model).train()
    tokens = torch.randn(3, 12, 1 + 64, 384)
    heads = torch.randn(3, 6, 1 + 64, 64)
    images = ViTFeatures(tokens, heads, heads, (8, 8))
    query, support = images[:2], images[1:]
    mask = torch.zeros(2, 112, 112)
    mask[:, 20:60, 30:80] = 1
    presence = torch.tensor([True, False])
    cls_map, seg_map = model.neck(query, support, mask)
    losses = {
        **model.cls_head.loss(cls_map, presence),
        **model.seg_head.loss(seg_map, mask > 0),
        **model.prior.loss(query, support, model.cls_head(cls_map), presence)}
    sum(losses.values()).backward()
    assert all(
        weight.grad is not None for part in (
            model.neck, model.cls_head, model.seg_head, model.prior)
        for weight in part.parameters())
    # The metric is there where masks are, and with it the hook that fits it.
    hooks = [hook['type'] for hook in cfg.default_hooks.values()]
    with_masks = cfg.train_dataloader.dataset.with_masks
    assert (model.neck.metric is not None) == with_masks
    assert ('DiscriminantMetricHook' in hooks) == with_masks
    assert all(HOOKS.get(hook) for hook in hooks)
