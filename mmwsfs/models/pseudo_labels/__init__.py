from .attention_labeler import AttentionLabeler
from .class_probe import ClassProbe
from .enhanced_labeler import EnhancedLabeler
from .foreground_labeler import ForegroundLabeler
from .pseudo_label_enhancer import PseudoLabelEnhancer

__all__ = [
    'AttentionLabeler', 'ClassProbe', 'EnhancedLabeler', 'ForegroundLabeler',
    'PseudoLabelEnhancer'
]
