"""What makes a run the same run: what changes its numbers, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.hooks import LoggerHook

from mmwsfs.utils.run_identity import changed_settings, settings_digest

# Of speed and output; for a training as for a test.
INDIFFERENT = [
    {'work_dir': 'elsewhere', 'log_level': 'INFO', 'train_cfg.max_iters': 9},
    {'train_dataloader.num_workers': 3, 'test_dataloader.num_workers': 3},
    {'model.cache': dict(ram_gb=4)},
    {'model.cache': dict(
        disk_gb=4, folder='elsewhere', warm_up=True, storage='float16')},
    {'custom_hooks': [dict(type='PseudoLabelHook', num_pictures=9)]},
    {'custom_hooks': [
        dict(type='PseudoLabelEnhancerHook'), dict(type='FeatureCacheHook')]},
    {'default_hooks.logger.interval': 7},
    {'default_hooks.logger': dict(type=LoggerHook)},
    {'default_hooks.logger': dict(type='mmengine.LoggerHook')},
    {'default_hooks.checkpoint': dict(type='CheckpointHook', _delete_=True)},
    {'default_hooks.visualization': None},
    {'default_hooks.report': dict(type='EpisodeReportHook')},
    {'default_hooks.param_scheduler': dict(type='ParamSchedulerHook')},
]
MODEL = [
    {'model.neck.num_layers': 3},
    {'model.cache': dict(ram_gb=4, storage='int8')},
]


def changes(cfg: Config, change: dict, tmp_path: Path) -> list[str]:
    """What :func:`changed_settings` finds, against the dump of the config before."""
    cfg.dump(tmp_path / 'before.py')
    cfg.merge_from_dict(change)
    return changed_settings(Config.fromfile(tmp_path / 'before.py'), cfg)


@pytest.mark.parametrize('change, names', [
    *((change, ['model']) for change in MODEL),
    ({'optim_wrapper.type': 'AmpOptimWrapper'}, ['optim_wrapper']),
    ({'param_scheduler': [dict(type='ConstantLR')]}, ['param_scheduler']),
    ({'randomness.seed': 9, 'custom_hooks': [dict(type='EMAHook')]},
     ['randomness', 'custom_hooks']),
    ({'default_hooks.fitting': dict(type='FittingHook')}, ['default_hooks']),
    ({'default_hooks.param_scheduler': None}, ['default_hooks']),
    ({'train_dataloader.batch_size': 9}, ['train_dataloader.batch_size']),
    ({'train_dataloader.sampler.paired': True}, ['train_dataloader.sampler']),
    ({'train_dataloader.dataset.fold': 2}, ['train_dataloader.dataset']),
    ({'val_dataloader': dict(dataset=dict(selection='base'))},
     ['val_dataloader.dataset.selection']),
    ({'val_dataloader': dict(dataset=dict(selection='novel', num_episodes=9))}, []),
    ({'val_dataloader': None}, []),
    *((change, []) for change in INDIFFERENT),
    ({'test_dataloader.dataset.way': 2, 'test_evaluator.void': 'ignored'}, [])])
def test_changed_settings(
        tiny_config: Config, tmp_path: Path, change: dict, names: list[str]) -> None:
    """Against the config that a training has dumped."""
    assert changes(tiny_config, change, tmp_path) == names


@pytest.mark.parametrize('change, same', [
    *((change, False) for change in MODEL),
    ({'test_dataloader.dataset.way': 2}, False),
    ({'test_evaluator.void': 'ignored'}, False),
    ({'test_cfg.fp16': True}, False),
    *((change, True) for change in INDIFFERENT),
    ({'test_dataloader.batch_size': 7}, True),
    ({'custom_hooks': [dict(type='EMAHook')], 'randomness.seed': 9}, True)])
def test_settings_of_a_test(tiny_config: Config, change: dict, same: bool) -> None:
    """What changes the numbers of a checkpoint changes the digest, and only that."""
    before = settings_digest(tiny_config)
    tiny_config.merge_from_dict(change)
    assert (settings_digest(tiny_config) == before) == same


def test_settings_survive_the_file(tiny_config: Config, tmp_path: Path) -> None:
    """A config read back from its dump is the same one."""
    tiny_config.dump(tmp_path / 'config.py')
    read = Config.fromfile(tmp_path / 'config.py')
    assert settings_digest(read) == settings_digest(tiny_config)
