"""Which OpenMMLab mmwsfs needs."""

from __future__ import annotations

from importlib import import_module

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
            version = import_module(name).__version__
            from mmengine.utils import digit_version
        except ImportError as error:
            raise RuntimeError(
                f'mmwsfs needs {name} >= {minimum}, which cannot be imported: '
                f'{error}') from error
        if digit_version(version) < digit_version(minimum):
            raise RuntimeError(
                f'mmwsfs needs {name} >= {minimum}, but {version} is installed: '
                'please upgrade it.')
