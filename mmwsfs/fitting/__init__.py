from .calibration import calibrate, calibration_dataset
from .stage import fit_before_training, fittable_parts
from .training_images import LabelledImages

__all__ = [
    'LabelledImages', 'calibrate', 'calibration_dataset', 'fit_before_training',
    'fittable_parts'
]
