"""The improved short recipe: sizes of its parts fit each other, in every config."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.structures import PixelData

from mmwsfs.fitting import fittable_parts
from mmwsfs.registry import HOOKS, MODELS
from mmwsfs.structures import FewShotDataSample, ViTFeatures

CONFIGS = Path(__file__).parents[3] / 'configs/wsfs'
SIZE = 112  # pixels: 8 x 8 patches of 14


def episodes(masks: bool) -> tuple[dict, list[FewShotDataSample]]:
    """One query with a support that shows its class and one that does not."""
    images = torch.randn(3, 3, SIZE, SIZE)
    inputs = dict(query=images[[0, 0]], support=images[1:, None, None])
    samples = []
    for present in (True, False):
        sample = FewShotDataSample(metainfo=dict(class_ids=[3]))
        sample.gt_presence = torch.tensor([present])
        if masks:
            mask = torch.zeros(1, 1, SIZE, SIZE, dtype=torch.uint8)
            mask[..., 20:60, 30:80] = 1
            sample.support_masks = mask
            sample.gt_sem_seg = PixelData(data=mask[0] * present)
        samples.append(sample)
    return inputs, samples


@pytest.mark.parametrize(
    'path', sorted(CONFIGS.glob('*_plus*.py')), ids=lambda path: path.stem)
def test_a_step(path, one_thread, monkeypatch):
    """A training step at full width: losses whose gradients reach all that trains."""
    torch.manual_seed(0)
    cfg = Config.fromfile(path)
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model).train()
    layers, heads, width = (
        getattr(model.backbone, name)
        for name in ('num_layers', 'num_heads', 'embed_dims'))

    def extract(images):
        return ViTFeatures(
            torch.randn(len(images), layers, 1 + 64, width),
            torch.randn(len(images), heads, width // heads),
            torch.randn(len(images), heads, 64, width // heads), (8, 8))

    monkeypatch.setattr(model.backbone, 'extract', extract)
    losses = model.loss(*episodes(model.supervision == 'pixel'))
    sum(losses.values()).backward()
    for name, weight in model.named_parameters():
        assert (weight.grad is not None) == weight.requires_grad, name
    for part in (model.neck, model.cls_head, model.seg_head):
        assert all(weight.requires_grad for weight in part.parameters())
    # What learns before training needs its hook.
    hooks = [hook['type'] for hook in cfg.default_hooks.values() if hook]
    assert all(HOOKS.get(hook) for hook in hooks)
    assert {'metric', 'prior'} <= fittable_parts(model).keys()
    assert 'FittingHook' in hooks
