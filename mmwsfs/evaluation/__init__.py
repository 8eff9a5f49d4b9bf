from .metrics import FewShotMetric

__all__ = ['FewShotMetric']
