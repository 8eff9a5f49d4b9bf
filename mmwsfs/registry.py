"""Registries of mmwsfs: children of MMSegmentation's.

With ``default_scope = 'mmwsfs'`` a config finds the components of mmwsfs, then those
of mmseg, then those of mmengine. From an mmseg-scoped config with
``custom_imports = dict(imports=['mmwsfs'])`` a component is ``mmwsfs.NAME``.
"""

from __future__ import annotations

import inspect
from typing import Any

from .openmmlab import check_versions

check_versions()  # before anything fails for another reason

from mmengine.registry import Registry  # noqa: E402
from mmseg import registry as mmseg  # noqa: E402

from .argument_check import check_arguments  # noqa: E402
from .utils import checkpoint_loaders  # noqa: E402, F401  (nothing is unpickled)


class _Registry(Registry):
    """Has the components of mmwsfs check what configs give them."""

    def _register_module(self, module: type, *args: Any, **kwargs: Any) -> None:
        super()._register_module(module, *args, **kwargs)
        if inspect.isclass(module) and module.__module__.startswith('mmwsfs.'):
            check_arguments(module)


def _child(parent: Registry, location: str | None = None) -> Registry:
    # The parent's locations too: a look-up that begins in a child does not import them.
    own = [f'mmwsfs.{location}'] if location else []
    return _Registry(
        parent.name,
        parent=parent,
        scope='mmwsfs',
        locations=[*parent._locations, *own])


# Rooms that mmwsfs adds components to.
DATASETS = _child(mmseg.DATASETS, 'datasets')
DATA_SAMPLERS = _child(mmseg.DATA_SAMPLERS, 'datasets')
TRANSFORMS = _child(mmseg.TRANSFORMS, 'datasets')
MODELS = _child(mmseg.MODELS, 'models')
HOOKS = _child(mmseg.HOOKS, 'engine')
LOOPS = _child(mmseg.LOOPS, 'engine')
OPTIM_WRAPPERS = _child(mmseg.OPTIM_WRAPPERS, 'engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child(mmseg.OPTIM_WRAPPER_CONSTRUCTORS, 'engine')
METRICS = _child(mmseg.METRICS, 'evaluation')
VISUALIZERS = _child(mmseg.VISUALIZERS, 'visualization')
INFERENCERS = _child(mmseg.INFERENCERS, 'apis')
RUNNERS = _child(mmseg.RUNNERS, 'engine')

# Rooms it only passes through: without them the default scope would not resolve.
RUNNER_CONSTRUCTORS = _child(mmseg.RUNNER_CONSTRUCTORS)
MODEL_WRAPPERS = _child(mmseg.MODEL_WRAPPERS)
WEIGHT_INITIALIZERS = _child(mmseg.WEIGHT_INITIALIZERS)
OPTIMIZERS = _child(mmseg.OPTIMIZERS)
PARAM_SCHEDULERS = _child(mmseg.PARAM_SCHEDULERS)
TASK_UTILS = _child(mmseg.TASK_UTILS)
EVALUATOR = _child(mmseg.EVALUATOR)
VISBACKENDS = _child(mmseg.VISBACKENDS)
LOG_PROCESSORS = _child(mmseg.LOG_PROCESSORS)
