"""The registries: what is found from which scope."""
from __future__ import annotations

import subprocess
import sys

import mmseg.registry
import pytest
import torch
from mmengine import registry as root
from mmengine.registry import DefaultScope

from mmwsfs import registry

ROOMS = [
    name for name, value in vars(mmseg.registry).items()
    if isinstance(value, root.Registry)]


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
    ('LOOPS', 'EpochBasedTrainLoop', 'mmwsfs.engine.'),
    ('OPTIM_WRAPPERS', 'AmpOptimWrapper', 'mmwsfs.engine.'),
    ('OPTIM_WRAPPER_CONSTRUCTORS', 'TrainableOptimWrapperConstructor',
     'mmwsfs.engine.'),
    ('METRICS', 'FewShotMetric', 'mmwsfs.evaluation.'),
    ('VISUALIZERS', 'EpisodeVisualizer', 'mmwsfs.visualization.'),
    ('MODELS', 'FCNHead', 'mmseg.'),
    ('MODELS', 'DiceLoss', 'mmseg.'),
    ('TRANSFORMS', 'Resize', 'mmseg.'),
    ('TRANSFORMS', 'CenterCrop', 'mmcv.'),
    ('LOOPS', 'ValLoop', 'mmengine.'),
    ('OPTIMIZERS', 'Adam', 'torch.'),
    ('OPTIM_WRAPPERS', 'OptimWrapper', 'mmengine.'),
    ('HOOKS', 'CheckpointHook', 'mmwsfs.engine.'),
    ('HOOKS', 'LoggerHook', 'mmengine.'),
    ('RUNNERS', 'TrainingRunner', 'mmwsfs.engine.'),
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
    assert head((torch.zeros(1, 8, 4, 4), )).shape == (1, 2, 4, 4)
    neck = root.MODELS.build(dict(
        type='CorrelationTransformer', num_layers=12, num_heads=6))
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


LOOK_UP = '''
import sys
import mmwsfs
from mmengine import registry as root
from mmengine.registry import init_default_scope

scope, *names = sys.argv[1:]
init_default_scope(scope)
for name in names:
    room, name = name.split('/')
    with getattr(root, room).switch_scope_and_registry(None) as current:
        found = current.get(name)
    assert found is not None, f'{room} {name} is not found from scope {scope}'
    print('found', found.__module__)
'''


def look_up(scope: str, *names: str) -> list[str]:
    """Modules of what is found in a fresh process that has imported mmwsfs alone."""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', LOOK_UP, scope, *names],
        capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # Some packages print of their own while they are imported.
    return [line.split()[1] for line in done.stdout.splitlines()
            if line.startswith('found ')]


def test_mmseg_scope_after_import_alone() -> None:
    """``custom_imports = dict(imports=['mmwsfs'])`` is enough."""
    assert look_up('mmseg', 'MODELS/mmwsfs.DINOVisionTransformer') == [
        'mmwsfs.models.backbones.dino_vit']


def test_default_scope_finds_mmsegs_without_their_import() -> None:
    """Components of mmseg are found whatever has been imported before.

    Above all ``LoadAnnotations``: mmcv has another one by that name.
    """
    modules = look_up(
        'mmwsfs', 'TRANSFORMS/LoadAnnotations', 'TRANSFORMS/PackSegInputs',
        'DATASETS/PascalVOCDataset', 'HOOKS/SegVisualizationHook', 'METRICS/IoUMetric',
        'VISUALIZERS/SegLocalVisualizer', 'MODELS/FCNHead', 'HOOKS/PseudoLabelHook',
        'INFERENCERS/FewShotInferencer')
    assert [module.split('.')[0] for module in modules] == (
        ['mmseg'] * 7 + ['mmwsfs'] * 2)
