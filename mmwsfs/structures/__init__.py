from .few_shot_data_sample import VOID, FewShotDataSample
from .vit_features import ViTFeatures

__all__ = ['VOID', 'FewShotDataSample', 'ViTFeatures']
