"""How much memory a computation on the CPU needs (Linux with glibc)."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path


def give_freed_memory_back() -> None:
    """Let the allocator return freed blocks of 64 KiB and more to the system at once.

    To be called as a process starts: what the allocator has kept by then it hands out
    again without the process growing. It slows allocation down, so a process that
    measures memory should not measure times.
    """
    mmap_threshold = -3  # malloc.h
    ctypes.CDLL(None).mallopt(mmap_threshold, 65536)


def resident_bytes(name: str) -> int:
    """VmRSS, or VmHWM for its peak, of this process in bytes."""
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(f'{name}:'):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f'/proc/self/status has no {name}')


def peak_growth(run: Callable[[], object]) -> int:
    """Bytes by which the process grows, at most, while ``run`` runs.

    Needs :func:`give_freed_memory_back`. What ``run`` needs once (code that is loaded,
    caches) counts too, unless it ran before, on something small.
    """
    gc.collect()
    before = resident_bytes('VmRSS')
    Path('/proc/self/clear_refs').write_text('5')  # VmHWM starts anew
    run()
    return resident_bytes('VmHWM') - before
