from .backbones import DINOVisionTransformer
from .data_preprocessor import FewShotDataPreProcessor
from .decode_heads import BatchDiceLoss, FewShotClsHead, FewShotSegHead, PairPrior
from .feature_cache import FeatureCache
from .necks import (
    CorrelationTransformer,
    DiscriminantMetric,
    EfficientCorrelationTransformer,
)
from .pseudo_labels import (
    AttentionLabeler,
    ClassProbe,
    EnhancedLabeler,
    PixelAdaptiveRefinement,
    PseudoLabelEnhancer,
)
from .segmentors import FewShotSegmentor, PseudoMaskSegmentor

__all__ = [
    'AttentionLabeler', 'BatchDiceLoss', 'ClassProbe', 'CorrelationTransformer',
    'DINOVisionTransformer', 'DiscriminantMetric',
    'EfficientCorrelationTransformer', 'EnhancedLabeler', 'FeatureCache',
    'FewShotClsHead', 'FewShotDataPreProcessor', 'FewShotSegHead',
    'FewShotSegmentor', 'PairPrior', 'PixelAdaptiveRefinement',
    'PseudoLabelEnhancer', 'PseudoMaskSegmentor'
]
