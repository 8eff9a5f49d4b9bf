from .discriminant_metric import DiscriminantMetric

__all__ = ['DiscriminantMetric']
