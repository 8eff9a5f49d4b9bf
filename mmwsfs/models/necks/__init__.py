from .correlation_transformer import CorrelationTransformer
from .discriminant_metric import DiscriminantMetric
from .efficient_correlation_transformer import EfficientCorrelationTransformer

__all__ = [
    'CorrelationTransformer', 'DiscriminantMetric', 'EfficientCorrelationTransformer'
]
