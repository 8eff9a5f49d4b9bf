from .demo_shapes_dataset import DemoShapesDataset
from .episode import Episode, EpisodeKey
from .pascal5i import Pascal5iDataset
from .samplers import EvalEpisodeSampler, TrainEpisodeSampler
from .transforms import EpisodeTransform, LoadLabelMap, PackEpisodeInputs

__all__ = [
    'DemoShapesDataset', 'Episode', 'EpisodeKey', 'EpisodeTransform',
    'EvalEpisodeSampler', 'LoadLabelMap', 'PackEpisodeInputs', 'Pascal5iDataset',
    'TrainEpisodeSampler'
]
