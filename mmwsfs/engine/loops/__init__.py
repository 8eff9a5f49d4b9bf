from .epoch_based_train_loop import EpochBasedTrainLoop
from .iter_based_train_loop import IterBasedTrainLoop

__all__ = ['EpochBasedTrainLoop', 'IterBasedTrainLoop']
