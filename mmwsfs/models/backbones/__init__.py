from .dino_vit import DINOVisionTransformer

__all__ = ['DINOVisionTransformer']
