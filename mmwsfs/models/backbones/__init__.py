from .cnn_adapter import CNNAdapter
from .dino_vit import DINOVisionTransformer
from .dinov3_vit import DINOv3VisionTransformer
from .feature_backbone import FeatureBackbone
from .vit_adapter import ViTAdapter

__all__ = [
    'CNNAdapter',
    'DINOVisionTransformer',
    'DINOv3VisionTransformer',
    'FeatureBackbone',
    'ViTAdapter',
]
