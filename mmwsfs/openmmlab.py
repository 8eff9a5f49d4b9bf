"""Which OpenMMLab mmwsfs needs."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

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
            raise import_failed(name, error) from error
        if digit_version(found) < digit_version(minimum):
            raise RuntimeError(
                f'mmwsfs needs {name} >= {minimum}, but {found} is installed: '
                'please upgrade it.')


def import_failed(name: str, error: Exception) -> RuntimeError:
    """What to raise where a module of OpenMMLab does not import.

    mmpretrain's language models fail, with a TypeError, beside transformers 5; then it
    says so.
    """
    mend = ''
    try:
        transformers = version('transformers')
    except PackageNotFoundError:
        transformers = '0'
    if name == 'mmpretrain' and int(transformers.split('.')[0]) >= 5:
        mend = (
            f'. It does not go with transformers {transformers}, which is installed: '
            "pip install 'transformers<5', or take another environment")
    return RuntimeError(
        f'mmwsfs needs {name} >= {MINIMUM_VERSIONS[name]}, which cannot be imported: '
        f'{error}{mend}')
