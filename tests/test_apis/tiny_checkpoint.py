"""A checkpoint of a small model that decides something, without training it."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope

from mmwsfs.models import FewShotSegmentor
from mmwsfs.registry import DATASETS, MODELS


@torch.no_grad()
def decisive_model(cfg: Config) -> FewShotSegmentor:
    """The config's model with random weights; its log odds are about 0 +- 1.5.

    Else random heads would say the same of every image and pixel with certainty.
    """
    with DefaultScope.overwrite_default_scope('mmwsfs'):
        torch.manual_seed(0)
        model = MODELS.build(cfg.model).eval()
        dataset = DATASETS.build(cfg.test_dataloader.dataset)
    model.supervision = 'image'
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.normal_(std=(2 / parameter[0].numel())**0.5)
    # Patches differ enough for a threshold to part them.
    model.backbone.patch_embed.projection.weight.mul_(4)
    batch = pseudo_collate([dataset[number] for number in range(8)])
    inputs = model.data_preprocessor(batch)
    for head, logits in zip((model.cls_head, model.seg_head),
                            model(**inputs, mode='tensor')):
        # (B, 1, 2) and (B, 1, 1, 2, H, W)
        axis = 2 if logits.ndim == 3 else 3
        odds = logits.select(axis, 1) - logits.select(axis, 0)
        factor, last = 1.5 / odds.std(), head.layers[-1]
        last.weight.mul_(factor)
        last.bias.mul_(factor)
        last.bias[1] -= factor * odds.mean()
    return model


@pytest.fixture
def tiny_checkpoint(tiny_config: Config, tmp_path: Path) -> Path:
    """For ``tiny_config``."""
    path = tmp_path / 'tiny.pth'
    torch.save(dict(state_dict=decisive_model(tiny_config).state_dict()), path)
    return path
