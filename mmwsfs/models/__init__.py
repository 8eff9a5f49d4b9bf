from .backbones import DINOVisionTransformer
from .data_preprocessor import FewShotDataPreProcessor
from .decode_heads import BatchDiceLoss, FewShotClsHead, FewShotSegHead
from .evidence import PairPrior, PrototypeMaps
from .feature_cache import FeatureCache
from .necks import CorrelationTransformer
from .pseudo_labels import (
    AttentionLabeler,
    ClassProbe,
    EnhancedLabeler,
    PseudoLabelEnhancer,
)
from .segmentors import FewShotSegmentor, PseudoMaskSegmentor
from .token_metrics import DiscriminantMetric

__all__ = [
    'AttentionLabeler', 'BatchDiceLoss', 'ClassProbe', 'CorrelationTransformer',
    'DINOVisionTransformer', 'DiscriminantMetric', 'EnhancedLabeler', 'FeatureCache',
    'FewShotClsHead', 'FewShotDataPreProcessor', 'FewShotSegHead',
    'FewShotSegmentor', 'PairPrior', 'PrototypeMaps', 'PseudoLabelEnhancer',
    'PseudoMaskSegmentor'
]
