from .stage import fit_before_training, fittable_parts
from .training_images import LabelledImages

__all__ = ['LabelledImages', 'fit_before_training', 'fittable_parts']
