from .episode_report_hook import EpisodeReportHook
from .feature_cache_hook import FeatureCacheHook
from .few_shot_visualization_hook import FewShotVisualizationHook
from .fitting_hook import FittingHook
from .pseudo_label_enhancer_hook import PseudoLabelEnhancerHook
from .pseudo_label_hook import PseudoLabelHook
from .tag_supervision_hook import TagSupervisionHook

__all__ = [
    'EpisodeReportHook', 'FeatureCacheHook',
    'FewShotVisualizationHook', 'FittingHook', 'PseudoLabelEnhancerHook',
    'PseudoLabelHook', 'TagSupervisionHook'
]
