from .few_shot_data_sample import VOID, FewShotDataSample
from .lazy_images import LazyImage, LazyImages
from .vit_features import ViTFeatures

__all__ = ['VOID', 'FewShotDataSample', 'LazyImage', 'LazyImages', 'ViTFeatures']
