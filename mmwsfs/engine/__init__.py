from .hooks import EpisodeReportHook, FewShotVisualizationHook, PseudoLabelHook
from .optim import (
    CPUAmpOptimWrapper,
    TrainableOptimWrapperConstructor,
    build_amp_optim_wrapper,
)

__all__ = [
    'CPUAmpOptimWrapper', 'EpisodeReportHook', 'FewShotVisualizationHook',
    'PseudoLabelHook', 'TrainableOptimWrapperConstructor', 'build_amp_optim_wrapper'
]
