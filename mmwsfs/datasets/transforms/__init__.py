from .episode_transform import EpisodeTransform
from .load_label_map import LoadLabelMap
from .pack_episode_inputs import PackEpisodeInputs

__all__ = ['EpisodeTransform', 'LoadLabelMap', 'PackEpisodeInputs']
