from .episode_segmentor import EpisodeSegmentor
from .few_shot_segmentor import FewShotSegmentor
from .pseudo_mask_segmentor import PseudoMaskSegmentor

__all__ = ['EpisodeSegmentor', 'FewShotSegmentor', 'PseudoMaskSegmentor']
