"""Peak memory: what was allocated, neither hidden by what the process did before."""

import subprocess
import sys
from pathlib import Path

import pytest

# 40 blocks of 2 MB and one of 50 MB at once; half of it is free by the end. Before,
# the process used and freed more than that, in blocks of the same sizes.
SCRIPT = """
import torch
from mmwsfs.utils.peak_memory import give_freed_memory_back, peak_growth

def run():
    blocks = [torch.ones(500_000) for _ in range(40)]
    large = torch.ones(12_500_000)
    del blocks
    return torch.ones(5_000_000)

give_freed_memory_back()
for _ in range(3):
    run()
print(peak_growth(run), peak_growth(lambda: torch.ones(2_500_000)))
"""


@pytest.mark.skipif(
    not Path('/proc/self/clear_refs').exists(), reason='peaks are measured on Linux')
def test_peak_growth():
    """80 + 50 MB, then 10 MB: a large peak before does not count in the next."""
    output = subprocess.run(
        [sys.executable, '-c', SCRIPT], check=True, capture_output=True, text=True)
    found = [int(number) / 1e6 for number in output.stdout.split()]
    assert found == pytest.approx([130, 10], abs=3)
