from .hooks import (
    CheckpointHook,
    EpisodeReportHook,
    FeatureCacheHook,
    FewShotVisualizationHook,
    FittingHook,
    InvalidLossHook,
    PseudoLabelEnhancerHook,
    PseudoLabelHook,
)
from .loops import EpochBasedTrainLoop, IterBasedTrainLoop
from .optim import (
    CPUAmpOptimWrapper,
    TrainableOptimWrapperConstructor,
    build_amp_optim_wrapper,
)
from .runner import CarefulRunner, TrainingRunner

__all__ = [
    'CPUAmpOptimWrapper', 'CarefulRunner', 'CheckpointHook', 'EpisodeReportHook',
    'EpochBasedTrainLoop', 'FeatureCacheHook', 'FewShotVisualizationHook',
    'FittingHook', 'InvalidLossHook', 'IterBasedTrainLoop', 'PseudoLabelEnhancerHook',
    'PseudoLabelHook', 'TrainableOptimWrapperConstructor', 'TrainingRunner',
    'build_amp_optim_wrapper'
]
