from .few_shot_data_sample import VOID, FewShotDataSample
from .fitting import Fitting, TrainingImage, TrainingImages
from .lazy_images import LazyImage, LazyImages, distinct_images
from .vit_features import TokenGrid, ViTFeatures

__all__ = [
    'VOID', 'FewShotDataSample', 'Fitting', 'LazyImage', 'LazyImages', 'TokenGrid',
    'TrainingImage', 'TrainingImages', 'ViTFeatures', 'distinct_images'
]
