"""``run_tool`` of the end-to-end tests, for the tools that are tested here."""
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / 'test_end_to_end'))

from tool_runs import run_tool  # noqa: E402

__all__ = ['run_tool']
