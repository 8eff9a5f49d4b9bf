from .hooks import FewShotVisualizationHook, PseudoLabelHook
from .optim import (
    CPUAmpOptimWrapper,
    TrainableOptimWrapperConstructor,
    build_amp_optim_wrapper,
)

__all__ = [
    'CPUAmpOptimWrapper', 'FewShotVisualizationHook', 'PseudoLabelHook',
    'TrainableOptimWrapperConstructor', 'build_amp_optim_wrapper'
]
