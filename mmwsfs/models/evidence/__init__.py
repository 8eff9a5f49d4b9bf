from .pair_prior import PairPrior
from .whole_image_prior import WholeImagePrior
from .prototype_maps import PrototypeMaps

__all__ = ['PairPrior', 'PrototypeMaps', 'WholeImagePrior']
