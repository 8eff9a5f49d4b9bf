from .backbones import DINOVisionTransformer
from .data_preprocessor import FewShotDataPreProcessor
from .decode_heads import FewShotClsHead, FewShotSegHead
from .feature_cache import FeatureCache
from .necks import CorrelationTransformer, EfficientCorrelationTransformer
from .pseudo_labels import AttentionLabeler
from .segmentors import FewShotSegmentor, PseudoMaskSegmentor

__all__ = [
    'AttentionLabeler', 'CorrelationTransformer', 'DINOVisionTransformer',
    'EfficientCorrelationTransformer', 'FeatureCache', 'FewShotClsHead',
    'FewShotDataPreProcessor', 'FewShotSegHead', 'FewShotSegmentor',
    'PseudoMaskSegmentor'
]
