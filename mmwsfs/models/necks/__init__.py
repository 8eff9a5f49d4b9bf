from .correlation_transformer import CorrelationTransformer
from .efficient_correlation_transformer import EfficientCorrelationTransformer

__all__ = ['CorrelationTransformer', 'EfficientCorrelationTransformer']
