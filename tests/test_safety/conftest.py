"""The checkpoint of the tests of ``mmwsfs.apis``, for what is built upon them."""
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / 'test_apis'))

from tiny_checkpoint import tiny_checkpoint  # noqa: E402

__all__ = ['tiny_checkpoint']
