from .hooks import (
    EpisodeReportHook,
    FeatureCacheHook,
    FewShotVisualizationHook,
    FittingHook,
    PseudoLabelEnhancerHook,
    PseudoLabelHook,
)
from .loops import EpochBasedTrainLoop, IterBasedTrainLoop
from .optim import (
    CPUAmpOptimWrapper,
    TrainableOptimWrapperConstructor,
    build_amp_optim_wrapper,
)

__all__ = [
    'CPUAmpOptimWrapper', 'EpisodeReportHook', 'EpochBasedTrainLoop',
    'FeatureCacheHook', 'FewShotVisualizationHook', 'FittingHook',
    'IterBasedTrainLoop', 'PseudoLabelEnhancerHook', 'PseudoLabelHook',
    'TrainableOptimWrapperConstructor', 'build_amp_optim_wrapper'
]
