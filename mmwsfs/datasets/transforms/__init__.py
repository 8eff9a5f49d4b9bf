from .episode_transform import EpisodeTransform
from .load_coco_label_map import LoadCocoLabelMap
from .load_image_from_file import LoadImageFromFile
from .load_label_map import LoadLabelMap
from .load_object_mask import LoadObjectMask
from .load_tags import LoadTags
from .pack_episode_inputs import PackEpisodeInputs

__all__ = [
    'EpisodeTransform', 'LoadCocoLabelMap', 'LoadImageFromFile', 'LoadLabelMap',
    'LoadObjectMask', 'LoadTags', 'PackEpisodeInputs'
]
