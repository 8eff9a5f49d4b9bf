from .episode import Episode, EpisodeKey, draw_episode
from .pascal5i import Pascal5iDataset
from .samplers import EvalEpisodeSampler, TrainEpisodeSampler
from .transforms import EpisodeTransform, LoadLabelMap, PackEpisodeInputs

__all__ = [
    'Episode', 'EpisodeKey', 'EpisodeTransform', 'EvalEpisodeSampler', 'LoadLabelMap',
    'PackEpisodeInputs', 'Pascal5iDataset', 'TrainEpisodeSampler', 'draw_episode'
]
