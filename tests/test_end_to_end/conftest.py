from interrupted import half, small_training, train, whole
from tool_runs import run_tool

__all__ = ['half', 'run_tool', 'small_training', 'train', 'whole']
