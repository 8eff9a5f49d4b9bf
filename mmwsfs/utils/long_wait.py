from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch.distributed
from mmengine.dist import barrier, is_distributed


@contextmanager
def wait_for_all_ranks() -> Iterator[None]:
    """At its end processes wait until all are there, for a day if need be.

    Any other collective call ends a job in which one process waits for another that is
    at work longer than the backend's limit, which is minutes. One that dies meanwhile
    ends the waiting of all.
    """
    if not is_distributed():
        yield
        return
    # All are alive: who waits for a connection would not see that another is gone.
    barrier()
    # Gloo on a GPU too: it sees at once that a connection is gone.
    group: Any = torch.distributed.new_group(backend='gloo')
    yield
    assert isinstance(group, torch.distributed.ProcessGroup)  # this process is in it
    torch.distributed.monitored_barrier(group, timeout=timedelta(days=1))
    torch.distributed.destroy_process_group(group)
