"""Training images of ``tiny_voc`` as a tiny model sees them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from mmwsfs.datasets import Pascal5iDataset
from mmwsfs.models import FewShotSegmentor
from mmwsfs.models.pseudo_labels import enhancer_training
from mmwsfs.registry import MODELS


@pytest.fixture
def train_set(tiny_dataset: Callable[..., Pascal5iDataset]
              ) -> Callable[..., Pascal5iDataset]:
    """Makes the base classes of fold 0 at 32 x 32 pixels; ``masks`` as in a config."""
    def build(masks: str | float = 'all', **kwargs) -> Pascal5iDataset:
        settings = dict(split='trn', pipeline=None, img_size=32, masks=masks)
        return tiny_dataset(**{**settings, **kwargs})
    return build


@pytest.fixture
def build_model(tiny_model: dict, monkeypatch: pytest.MonkeyPatch
                ) -> Callable[..., FewShotSegmentor]:
    """Makes a model whose labeler and metric learn, by its supervision.

    Under 'mixed' an enhancer of a few steps with a probe; under 'pixel' no labeler.
    """
    for name, value in (('BATCH_SIZE', 2), ('INTERVAL', 1), ('PARTNERS', 1)):
        monkeypatch.setattr(enhancer_training, name, value)

    def build(supervision: str, **kwargs) -> FewShotSegmentor:
        labeler = dict(
            image=tiny_model['labeler'], pixel=None, mixed=dict(
                type='EnhancedLabeler', enhancer=dict(type='PseudoLabelEnhancer'),
                probe=dict(type='ClassProbe', num_classes=20, layers=(0, 1)), steps=3))
        torch.manual_seed(0)
        model = MODELS.build({
            **tiny_model, 'supervision': supervision, 'labeler': labeler[supervision],
            'metric': dict(type='DiscriminantMetric'), **kwargs})
        # Tokens of random weights hardly differ: make images tell on them.
        model.backbone.patch_embed.projection.weight.data.mul_(4)
        return model
    return build
