from .whole_image_prior import WholeImagePrior
from .prototype_maps import PrototypeMaps

__all__ = ['PrototypeMaps', 'WholeImagePrior']
