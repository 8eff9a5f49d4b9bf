from .calibration_hook import CalibrationHook
from .checkpoint_hook import CheckpointHook
from .episode_report_hook import EpisodeReportHook
from .feature_cache_hook import FeatureCacheHook
from .few_shot_visualization_hook import FewShotVisualizationHook
from .fitting_hook import FittingHook
from .invalid_loss_hook import InvalidLossHook
from .pseudo_label_enhancer_hook import PseudoLabelEnhancerHook
from .pseudo_label_hook import PseudoLabelHook
from .tag_supervision_hook import TagSupervisionHook

__all__ = [
    'CalibrationHook', 'CheckpointHook', 'EpisodeReportHook', 'FeatureCacheHook',
    'FewShotVisualizationHook', 'FittingHook', 'InvalidLossHook',
    'PseudoLabelEnhancerHook', 'PseudoLabelHook', 'TagSupervisionHook'
]
