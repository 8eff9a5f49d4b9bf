from .hooks import (
    CalibrationHook,
    CheckpointHook,
    EpisodeReportHook,
    FeatureCacheHook,
    FewShotVisualizationHook,
    FittingHook,
    InvalidLossHook,
    PseudoLabelEnhancerHook,
    PseudoLabelHook,
    TagSupervisionHook,
)
from .loops import EpochBasedTrainLoop, IterBasedTrainLoop
from .optim import (
    CPUAmpOptimWrapper,
    LayerDecayOptimWrapperConstructor,
    TrainableOptimWrapperConstructor,
    build_amp_optim_wrapper,
)
from .runner import CarefulRunner, TrainingRunner

__all__ = [
    'CPUAmpOptimWrapper', 'CalibrationHook', 'CarefulRunner', 'CheckpointHook',
    'EpisodeReportHook', 'EpochBasedTrainLoop', 'FeatureCacheHook',
    'FewShotVisualizationHook', 'FittingHook', 'InvalidLossHook',
    'IterBasedTrainLoop', 'LayerDecayOptimWrapperConstructor',
    'PseudoLabelEnhancerHook', 'PseudoLabelHook', 'TagSupervisionHook',
    'TrainableOptimWrapperConstructor', 'TrainingRunner', 'build_amp_optim_wrapper'
]
