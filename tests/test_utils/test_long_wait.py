"""wait_for_all_ranks: longer than any other collective call would."""
from __future__ import annotations

import time
from collections.abc import Callable

import torch
from mmengine.dist import all_reduce, get_rank

from mmwsfs.utils.long_wait import wait_for_all_ranks


def test_longer_than_the_groups_limit(on_ranks: Callable[..., list]) -> None:
    """One works while the others wait; then the group is as good as before."""
    def work() -> dict:
        done = torch.zeros(1)
        with wait_for_all_ranks():
            if get_rank() == 0:
                time.sleep(4)
                done += 1
        all_reduce(done)
        return dict(done=done)

    found = on_ranks(work, world_size=3, limit=2)
    assert [rank['done'].item() for rank in found] == [1, 1, 1]


def test_one_process_waits_for_nobody() -> None:
    """What stands in the block is done."""
    done = []
    with wait_for_all_ranks():
        done.append(1)
    assert done
