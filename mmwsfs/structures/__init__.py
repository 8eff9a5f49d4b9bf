from .few_shot_data_sample import FewShotDataSample
from .vit_features import ViTFeatures

__all__ = ['FewShotDataSample', 'ViTFeatures']
