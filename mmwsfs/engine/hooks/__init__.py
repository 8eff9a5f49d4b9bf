from .discriminant_metric_hook import DiscriminantMetricHook
from .episode_report_hook import EpisodeReportHook
from .feature_cache_hook import FeatureCacheHook
from .few_shot_visualization_hook import FewShotVisualizationHook
from .pseudo_label_enhancer_hook import PseudoLabelEnhancerHook
from .pseudo_label_hook import PseudoLabelHook

__all__ = [
    'DiscriminantMetricHook', 'EpisodeReportHook', 'FeatureCacheHook',
    'FewShotVisualizationHook', 'PseudoLabelEnhancerHook', 'PseudoLabelHook'
]
