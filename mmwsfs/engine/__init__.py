from .hooks import (
    EpisodeReportHook,
    FeatureCacheHook,
    FewShotVisualizationHook,
    PseudoLabelHook,
)
from .optim import (
    CPUAmpOptimWrapper,
    TrainableOptimWrapperConstructor,
    build_amp_optim_wrapper,
)

__all__ = [
    'CPUAmpOptimWrapper', 'EpisodeReportHook', 'FeatureCacheHook',
    'FewShotVisualizationHook', 'PseudoLabelHook', 'TrainableOptimWrapperConstructor',
    'build_amp_optim_wrapper'
]
