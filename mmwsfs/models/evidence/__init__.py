from .pair_prior import PairPrior
from .presence_calibration import PresenceCalibration
from .prototype_maps import PrototypeMaps

__all__ = ['PairPrior', 'PresenceCalibration', 'PrototypeMaps']
