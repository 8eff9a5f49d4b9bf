from .attention_labeler import AttentionLabeler

__all__ = ['AttentionLabeler']
