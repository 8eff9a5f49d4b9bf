from .few_shot_visualization_hook import FewShotVisualizationHook
from .pseudo_label_hook import PseudoLabelHook

__all__ = ['FewShotVisualizationHook', 'PseudoLabelHook']
