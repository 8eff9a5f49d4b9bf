"""The registries: what is found from which scope."""
from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from mmengine import registry as root
from mmengine.registry import DefaultScope

from mmwsfs import registry

ROOMS = [
    name for name in dir(registry)
    if name.isupper() and isinstance(getattr(registry, name), root.Registry)]


def find(room: str, name: str) -> type:
    """Look a type up as MMEngine's runner does: from the root, by default scope."""
    with getattr(root, room).switch_scope_and_registry(None) as current:
        return current.get(name)


@pytest.mark.parametrize(('room', 'name', 'module'), [
    ('MODELS', 'FewShotSegmentor', 'mmwsfs.models.'),
    ('DATASETS', 'Pascal5iDataset', 'mmwsfs.datasets.'),
    ('DATA_SAMPLERS', 'TrainEpisodeSampler', 'mmwsfs.datasets.'),
    ('TRANSFORMS', 'PackEpisodeInputs', 'mmwsfs.datasets.'),
    ('HOOKS', 'PseudoLabelHook', 'mmwsfs.engine.'),
    ('OPTIM_WRAPPERS', 'AmpOptimWrapper', 'mmwsfs.engine.'),
    ('OPTIM_WRAPPER_CONSTRUCTORS', 'TrainableOptimWrapperConstructor',
     'mmwsfs.engine.'),
    ('METRICS', 'FewShotMetric', 'mmwsfs.evaluation.'),
    ('VISUALIZERS', 'EpisodeVisualizer', 'mmwsfs.visualization.'),
    ('MODELS', 'FCNHead', 'mmseg.'),
    ('MODELS', 'DiceLoss', 'mmseg.'),
    ('HOOKS', 'SegVisualizationHook', 'mmseg.'),
    ('TRANSFORMS', 'Resize', 'mmcv.'),
    ('LOOPS', 'EpochBasedTrainLoop', 'mmengine.'),
    ('OPTIMIZERS', 'Adam', 'torch.'),
    ('OPTIM_WRAPPERS', 'OptimWrapper', 'mmengine.'),
    ('HOOKS', 'CheckpointHook', 'mmengine.'),
    ('PARAM_SCHEDULERS', 'LinearLR', 'mmengine.'),
    ('VISBACKENDS', 'LocalVisBackend', 'mmengine.'),
    ('LOG_PROCESSORS', 'LogProcessor', 'mmengine.'),
    ('RUNNERS', 'Runner', 'mmengine.'),
    ('DATA_SAMPLERS', 'InfiniteSampler', 'mmengine.'),
])
def test_default_scope_finds(room: str, name: str, module: str) -> None:
    """A config with ``default_scope = 'mmwsfs'`` names no scope anywhere."""
    found = find(room, name)
    assert found is not None and f'{found.__module__}.'.startswith(module)


def test_default_scope_builds() -> None:
    """Building works from the root registries too, where MMEngine builds."""
    head = root.MODELS.build(dict(
        type='FCNHead', in_channels=8, channels=4, num_classes=2))
    assert head(( torch.zeros(1, 8, 4, 4), )).shape == (1, 2, 4, 4)
    neck = root.MODELS.build(dict(type='CorrelationTransformer'))
    assert type(neck).__module__.startswith('mmwsfs.')
    optimizer = root.OPTIMIZERS.build(dict(
        type='Adam', lr=0.5, params=head.parameters()))
    assert isinstance(optimizer, torch.optim.Adam)


@pytest.mark.parametrize('room', ROOMS)
def test_every_room_has_its_place(room: str) -> None:
    """Each registry hangs below mmseg's, and is reached from MMEngine's by scope."""
    child = getattr(registry, room)
    assert child.scope == 'mmwsfs' and child.parent.scope == 'mmseg'
    with getattr(root, room).switch_scope_and_registry('mmwsfs') as current:
        assert current is child


def test_a_wrong_name_is_an_error() -> None:
    """A misspelt type fails by its name."""
    with pytest.raises(KeyError, match='FewShotSegmentr'):
        registry.MODELS.build(dict(type='FewShotSegmentr'))


def test_mmseg_scope_needs_the_prefix() -> None:
    """From mmseg's scope a component of mmwsfs is found with its prefix alone."""
    with DefaultScope.overwrite_default_scope('mmseg'):
        assert find('MODELS', 'mmwsfs.CorrelationTransformer') is not None
        assert find('MODELS', 'CorrelationTransformer') is None
        assert find('METRICS', 'mmwsfs.FewShotMetric') is not None


def test_mmseg_scope_after_import_alone() -> None:
    """``custom_imports = dict(imports=['mmwsfs'])`` is enough, in a fresh process."""
    code = '''
import sys
import mmwsfs
assert 'mmwsfs.models' not in sys.modules  # importing is quick, and without effects
from mmengine.registry import MODELS, init_default_scope
init_default_scope('mmseg')
backbone = MODELS.build(dict(
    type='mmwsfs.DINOVisionTransformer', img_size=32, patch_size=8, arch=dict(
        embed_dims=8, num_layers=1, num_heads=1, feedforward_channels=8)))
assert type(backbone).__module__ == 'mmwsfs.models.backbones.dino_vit'
'''
    subprocess.run([sys.executable, '-W', 'ignore', '-c', code], check=True)
