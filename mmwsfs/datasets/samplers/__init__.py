from .eval_episode_sampler import EvalEpisodeSampler
from .train_episode_sampler import TrainEpisodeSampler

__all__ = ['EvalEpisodeSampler', 'TrainEpisodeSampler']
