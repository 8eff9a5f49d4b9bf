"""Which settings of a config make a training, or a test, what it is.

A setting counts where it changes numbers. What changes speed, length, folders of
output, or what is logged, drawn, timed and saved does not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

# Hooks that look on. Any other hook counts.
_ONLOOKERS = (
    'CheckpointHook', 'EpisodeReportHook', 'FeatureCacheHook',
    'FewShotVisualizationHook', 'InvalidLossHook', 'IterTimerHook', 'LoggerHook',
    'PseudoLabelEnhancerHook', 'PseudoLabelHook', 'RuntimeInfoHook',
    'SegVisualizationHook')
# MMEngine's own hooks that take part in a training, unless they are None.
_DEFAULT_HOOKS = dict(
    param_scheduler=dict(type='ParamSchedulerHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'))


def changed_settings(before: Mapping, now: Mapping) -> list[str]:
    """Settings in which two configs' trainings differ.

    Args:
        before, now: configs with model, optimizer and training data.

    Returns:
        list[str]: their names, e.g. 'model' or 'train_dataloader.batch_size'.
    """
    old, new = _training(before), _training(now)
    return [name for name in old if _as_text(old[name]) != _as_text(new[name])]


def settings_digest(cfg: Mapping) -> str:
    """sha256 of the settings that a test's numbers follow from, beside the weights.

    Two configs of one digest give a checkpoint the same numbers: they agree in the
    model, the test dataset, the test evaluator and the precision.

    Args:
        cfg: a config, with everything from the command line in it.
    """
    test = dict(
        model=_model(cfg),
        dataset=cfg['test_dataloader']['dataset'],
        evaluator=cfg['test_evaluator'],
        fp16=bool((cfg.get('test_cfg') or {}).get('fp16')))
    return hashlib.sha256(_as_text(test).encode()).hexdigest()


def _training(cfg: Mapping) -> dict[str, object]:
    """The settings of a training, by name."""
    loader = cfg['train_dataloader']
    validation = (cfg.get('val_dataloader') or {}).get('dataset') or {}
    default_hooks = {**_DEFAULT_HOOKS, **(cfg.get('default_hooks') or {})}
    return {
        'model': _model(cfg),
        **{key: cfg.get(key)
           for key in ('optim_wrapper', 'param_scheduler', 'randomness')},
        'custom_hooks': _hooks(cfg.get('custom_hooks') or ()),
        # By name: a config that was written has them in another order.
        'default_hooks': _hooks(hook for _, hook in sorted(default_hooks.items())),
        **{f'train_dataloader.{key}': loader.get(key)
           for key in ('batch_size', 'sampler', 'dataset')},
        # On which classes the best checkpoint is the best.
        'val_dataloader.dataset.selection': validation.get('selection', 'novel')}


def _model(cfg: Mapping) -> dict:
    """The model's settings; of its feature cache only what rounds more than usual.

    Where features are kept, and how many, is a matter of speed. In half precision,
    the default, they are as good as those of a model without a cache.
    """
    model = dict(cfg['model'])
    storage = (model.pop('cache', None) or {}).get('storage', 'float16')
    return model if storage == 'float16' else dict(model, storage=storage)


def _hooks(hooks: Iterable[Mapping | None]) -> list[Mapping]:
    """Those of the hooks that take part."""
    return [hook for hook in hooks if hook and _name(hook) not in _ONLOOKERS]


def _name(hook: Mapping) -> str:
    """'LoggerHook', whether it is named with its scope or given as a class."""
    kind = hook['type']
    return (kind if isinstance(kind, str) else kind.__name__).rpartition('.')[2]


def _as_text(settings: object) -> str:
    return json.dumps(settings, sort_keys=True, default=str)
