from interrupted import half, one_thread, small_training, train, whole
from tool_runs import run_tool

__all__ = ['half', 'one_thread', 'run_tool', 'small_training', 'train', 'whole']
