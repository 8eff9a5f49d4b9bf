from tiny_checkpoint import tiny_checkpoint

__all__ = ['tiny_checkpoint']
