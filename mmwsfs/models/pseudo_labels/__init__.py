from .attention_labeler import AttentionLabeler
from .class_probe import ClassProbe
from .enhanced_labeler import EnhancedLabeler
from .pseudo_label_enhancer import PseudoLabelEnhancer

__all__ = [
    'AttentionLabeler', 'ClassProbe', 'EnhancedLabeler', 'PseudoLabelEnhancer'
]
