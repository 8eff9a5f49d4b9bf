from tool_runs import run_tool

__all__ = ['run_tool']
