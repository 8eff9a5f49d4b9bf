from .few_shot_inferencer import FewShotInferencer
from .init_model import init_model

__all__ = ['FewShotInferencer', 'init_model']
