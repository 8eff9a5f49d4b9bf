"""Weakly-supervised few-shot classification and segmentation for MMSegmentation."""

import mmcv
import mmengine
import mmpretrain
import mmseg
from mmengine.utils import digit_version

from . import registry
from .version import __version__

# The modules' own versions are read, never a distribution's name: the same module
# comes from several distributions.
MINIMUM_VERSIONS = {
    mmengine: '0.10.0',
    mmcv: '2.0.0',
    mmseg: '1.0.0',
    mmpretrain: '1.0.0',
}
for _module, _minimum in MINIMUM_VERSIONS.items():
    if digit_version(_module.__version__) < digit_version(_minimum):
        raise ImportError(
            f'mmwsfs needs {_module.__name__} >= {_minimum}, but '
            f'{_module.__version__} is installed: please upgrade it.')

from .utils import (  # noqa: E402, F401
    checkpoint_loaders,  # nothing is unpickled
    mmengine_inferencers,  # nor run
)

__all__ = ['__version__', 'registry']
