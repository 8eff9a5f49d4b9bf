from .presence_calibration import PresenceCalibration
from .prototype_maps import PrototypeMaps
from .whole_image_prior import WholeImagePrior

__all__ = ['PresenceCalibration', 'PrototypeMaps', 'WholeImagePrior']
