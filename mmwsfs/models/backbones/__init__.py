from .cnn_adapter import CNNAdapter
from .dino_vit import DINOVisionTransformer
from .feature_backbone import FeatureBackbone
from .vit_adapter import ViTAdapter

__all__ = ['CNNAdapter', 'DINOVisionTransformer', 'FeatureBackbone', 'ViTAdapter']
