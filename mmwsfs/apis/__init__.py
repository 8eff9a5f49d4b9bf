from .few_shot_inferencer import FewShotInferencer
from .init_model import init_model
from .label_map import label_map
from .support_set import SupportSet

__all__ = ['FewShotInferencer', 'SupportSet', 'init_model', 'label_map']
