from .coco20i import Coco20iDataset
from .demo_shapes_dataset import DemoShapesDataset
from .episode import Episode, EpisodeKey
from .few_shot_concat import FewShotConcatDataset
from .few_shot_folder import FewShotFolderDataset
from .pascal5i import Pascal5iDataset
from .samplers import EvalEpisodeSampler, TrainEpisodeSampler
from .transforms import (
    EpisodeTransform,
    LoadCocoLabelMap,
    LoadImageFromFile,
    LoadLabelMap,
    LoadObjectMask,
    LoadTags,
    PackEpisodeInputs,
)

__all__ = [
    'Coco20iDataset', 'DemoShapesDataset', 'Episode', 'EpisodeKey', 'EpisodeTransform',
    'EvalEpisodeSampler', 'FewShotConcatDataset', 'FewShotFolderDataset',
    'LoadCocoLabelMap', 'LoadImageFromFile', 'LoadLabelMap', 'LoadObjectMask',
    'LoadTags', 'PackEpisodeInputs', 'Pascal5iDataset', 'TrainEpisodeSampler'
]
