from .attention_labeler import AttentionLabeler
from .enhanced_labeler import EnhancedLabeler
from .pixel_adaptive_refinement import PixelAdaptiveRefinement
from .pseudo_label_enhancer import PseudoLabelEnhancer

__all__ = [
    'AttentionLabeler', 'EnhancedLabeler', 'PixelAdaptiveRefinement',
    'PseudoLabelEnhancer'
]
