from .correlation_transformer import CorrelationTransformer

__all__ = ['CorrelationTransformer']
