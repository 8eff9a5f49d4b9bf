from .hooks import (
    EpisodeReportHook,
    FeatureCacheHook,
    FewShotVisualizationHook,
    FittingHook,
    PseudoLabelEnhancerHook,
    PseudoLabelHook,
    TagSupervisionHook,
)
from .optim import (
    CPUAmpOptimWrapper,
    LayerDecayOptimWrapperConstructor,
    TrainableOptimWrapperConstructor,
    build_amp_optim_wrapper,
)

__all__ = [
    'CPUAmpOptimWrapper', 'EpisodeReportHook', 'FeatureCacheHook',
    'FewShotVisualizationHook', 'FittingHook', 'LayerDecayOptimWrapperConstructor',
    'PseudoLabelEnhancerHook', 'PseudoLabelHook', 'TagSupervisionHook',
    'TrainableOptimWrapperConstructor', 'build_amp_optim_wrapper'
]
