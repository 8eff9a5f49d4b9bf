from .prototype_maps import PrototypeMaps
from .whole_image_prior import WholeImagePrior

__all__ = ['PrototypeMaps', 'WholeImagePrior']
