from .few_shot_metric import FewShotMetric

__all__ = ['FewShotMetric']
