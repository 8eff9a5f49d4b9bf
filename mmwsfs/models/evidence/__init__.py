from .pair_prior import PairPrior
from .prototype_maps import PrototypeMaps

__all__ = ['PairPrior', 'PrototypeMaps']
