"""Weakly-supervised few-shot classification and segmentation for MMSegmentation.

Importing this module alone costs next to nothing: no torch, no OpenMMLab. What MMEngine
has to know of mmwsfs it is told as soon as the part concerned is imported, by whomever:
where our configs lie, and that its loaders of checkpoints unpickle nothing; and
mmpretrain, that a transformers of today is not the one it was written for.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from .import_hook import after_import
from .version import __version__

if TYPE_CHECKING:
    from . import registry

__all__ = ['__version__', 'registry']


def _know_our_configs() -> None:
    """``mmwsfs::wsfs/NAME.py`` names a config: our distribution is called as we are."""
    sys.modules['mmengine.config.utils'].MODULE2PACKAGE.setdefault('mmwsfs', 'mmwsfs')


def _guard_loaders() -> None:
    """A checkpoint runs nothing, in whichever tool, before any component is built."""
    import_module('mmwsfs.utils.checkpoint_loaders')


def _guard_inferencers() -> None:
    """Nor does a config that a checkpoint carries."""
    import_module('mmwsfs.utils.mmengine_inferencers')


def _spare_language_models() -> None:
    """mmpretrain's models of language do not import beside a newer transformers."""
    import_module('mmwsfs.openmmlab').spare_language_models()


def _speak_in_mmseg() -> None:
    """mmseg's own tools ask its registry for our data sets."""
    import_module('mmwsfs.mmseg_names')


after_import('mmengine.config.utils', _know_our_configs)
after_import('mmengine.runner', _guard_loaders)
after_import('mmengine.infer', _guard_inferencers)
after_import('mmpretrain.utils.dependency', _spare_language_models)
after_import('mmseg.registry', _speak_in_mmseg)


def __getattr__(name: str) -> ModuleType:
    if name == 'registry':
        return import_module('mmwsfs.registry')
    raise AttributeError(f"module 'mmwsfs' has no attribute '{name}'")
