"""Which OpenMMLab mmwsfs needs, and how it goes with what else is installed."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

# The modules' own versions are read, never a distribution's name: the same module
# comes from several distributions.
MINIMUM_VERSIONS = {
    'mmengine': '0.10.0',
    'mmcv': '2.0.0',
    'mmseg': '1.0.0',
    'mmpretrain': '1.0.0',
}


def check_versions() -> None:
    """Refuse an OpenMMLab that is too old, or does not import.

    Raises:
        RuntimeError: one of its modules is so. It is no ImportError: MMEngine, which
            imports ``mmwsfs.registry`` where a config names mmwsfs, swallows those, and
            would go on to say that a component is unknown.
    """
    for name, minimum in MINIMUM_VERSIONS.items():
        try:
            found = import_module(name).__version__
            from mmengine.utils import digit_version
        except ImportError as error:
            raise RuntimeError(
                f'mmwsfs needs {name} >= {minimum}, which cannot be imported: {error}'
            ) from error
        if digit_version(found) < digit_version(minimum):
            raise RuntimeError(
                f'mmwsfs needs {name} >= {minimum}, but {found} is installed: '
                'please upgrade it.')


def spare_language_models() -> None:
    """Let mmpretrain do without its models of language beside transformers 5.

    They are written for transformers 4, and beside a later one not a single part of
    mmpretrain would import. It knows how to be without them, as it is where
    transformers is not installed; nothing of ours needs them.
    """
    try:
        major = int(version('transformers').split('.')[0])
    except PackageNotFoundError:
        return
    if major >= 5:
        dependency: Any = sys.modules['mmpretrain.utils.dependency']
        dependency.WITH_MULTIMODAL = False
