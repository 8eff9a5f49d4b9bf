from .episode_visualizer import EpisodeVisualizer

__all__ = ['EpisodeVisualizer']
