from .hooks import (
    EpisodeReportHook,
    FeatureCacheHook,
    FewShotVisualizationHook,
    FittingHook,
    PseudoLabelEnhancerHook,
    PseudoLabelHook,
)
from .optim import (
    CPUAmpOptimWrapper,
    TrainableOptimWrapperConstructor,
    build_amp_optim_wrapper,
)

__all__ = [
    'CPUAmpOptimWrapper', 'EpisodeReportHook', 'FeatureCacheHook',
    'FewShotVisualizationHook', 'FittingHook', 'PseudoLabelEnhancerHook',
    'PseudoLabelHook', 'TrainableOptimWrapperConstructor', 'build_amp_optim_wrapper'
]
