from .episode_visualizer import EpisodeVisualizer
from .overlay import WAY_COLOURS, draw_cutout, draw_overlay

__all__ = ['WAY_COLOURS', 'EpisodeVisualizer', 'draw_cutout', 'draw_overlay']
