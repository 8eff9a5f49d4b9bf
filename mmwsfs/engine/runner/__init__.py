from .careful_runner import CarefulRunner
from .training_runner import TrainingRunner

__all__ = ['CarefulRunner', 'TrainingRunner']
