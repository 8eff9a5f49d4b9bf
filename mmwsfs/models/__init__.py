from .backbones import (
    CNNAdapter,
    DINOv3VisionTransformer,
    DINOVisionTransformer,
    FeatureBackbone,
    ViTAdapter,
)
from .data_preprocessor import FewShotDataPreProcessor
from .decode_heads import (
    BatchDiceLoss,
    FewShotClsHead,
    FewShotSegHead,
    OneHotLoss,
)
from .evidence import PresenceCalibration, PrototypeMaps, WholeImagePrior
from .feature_cache import FeatureCache
from .necks import CorrelationTransformer
from .pseudo_labels import (
    AttentionLabeler,
    ClassProbe,
    EnhancedLabeler,
    ForegroundLabeler,
    PseudoLabelEnhancer,
)
from .segmentors import (
    EpisodeSegmentor,
    FewShotSegmentor,
    PatchMatchingSegmentor,
    PrototypeSegmentor,
    PseudoMaskSegmentor,
    TokenSegmentor,
)
from .token_metrics import DiscriminantMetric

__all__ = [
    'AttentionLabeler', 'BatchDiceLoss', 'CNNAdapter', 'ClassProbe',
    'CorrelationTransformer', 'DINOVisionTransformer',
    'DINOv3VisionTransformer', 'DiscriminantMetric',
    'EnhancedLabeler', 'EpisodeSegmentor', 'FeatureBackbone', 'FeatureCache',
    'FewShotClsHead', 'FewShotDataPreProcessor', 'FewShotSegHead', 'FewShotSegmentor',
    'ForegroundLabeler', 'OneHotLoss', 'PatchMatchingSegmentor', 'PresenceCalibration',
    'PrototypeMaps', 'PrototypeSegmentor', 'PseudoLabelEnhancer', 'PseudoMaskSegmentor',
    'TokenSegmentor', 'ViTAdapter', 'WholeImagePrior'
]
