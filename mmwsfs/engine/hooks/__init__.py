from .episode_report_hook import EpisodeReportHook
from .few_shot_visualization_hook import FewShotVisualizationHook
from .pseudo_label_hook import PseudoLabelHook

__all__ = ['EpisodeReportHook', 'FewShotVisualizationHook', 'PseudoLabelHook']
