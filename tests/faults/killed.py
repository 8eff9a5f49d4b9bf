"""Has a process kill itself, as by ``kill -9``, at a chosen moment."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from mmengine.fileio import LocalBackend
from mmengine.runner import IterBasedTrainLoop, ValLoop

from mmwsfs.models.pseudo_labels import enhancer_training

# In the middle of writing a file; right after one came to its place or was removed;
# after a batch of validation, a step of the fitting stage, a step of training.
KINDS = ('writing', 'placed', 'validation', 'fitting', 'training')


def die_at(kind: str, count: int) -> Counter:
    """Have this process die at the ``count``-th moment of a kind; count all kinds."""
    moments: Counter = Counter()

    def moment(now: str, leave: Callable[[], None] = lambda: None) -> None:
        moments[now] += 1
        if now == kind and moments[now] == count:
            leave()
            os.kill(os.getpid(), signal.SIGKILL)

    def after(owner: object, name: str, now: str) -> None:
        original = getattr(owner, name)

        def method(*args, **kwargs):
            result = original(*args, **kwargs)
            moment(now)
            return result

        setattr(owner, name, method)

    replace = os.replace

    def replace_or_die(source: Path, target: Path) -> None:
        moment('writing', lambda: os.truncate(source, os.path.getsize(source) // 2))
        replace(source, target)
        moment('placed')

    os.replace = replace_or_die
    after(LocalBackend, 'remove', 'placed')
    after(ValLoop, 'run_iter', 'validation')
    after(enhancer_training.EnhancerTrainer, '_train_step', 'fitting')
    after(IterBasedTrainLoop, 'run_iter', 'training')
    return moments

