from .episode_segmentor import EpisodeSegmentor
from .few_shot_segmentor import FewShotSegmentor
from .patch_matching_segmentor import PatchMatchingSegmentor
from .prototype_segmentor import PrototypeSegmentor
from .pseudo_mask_segmentor import PseudoMaskSegmentor
from .token_segmentor import TokenSegmentor

__all__ = [
    'EpisodeSegmentor', 'FewShotSegmentor', 'PatchMatchingSegmentor',
    'PrototypeSegmentor', 'PseudoMaskSegmentor', 'TokenSegmentor'
]
