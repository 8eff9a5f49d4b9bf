"""What a run's faults are, in words that say what to do."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmwsfs.utils.run_error import RunError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_MEMORY = re.compile("can't allocate memory|not enough memory|out of memory")
_DEAD_WORKER = re.compile(
    r'DataLoader worker \(pid\(?s?\)? ?[\d, ]+\) (is killed by signal: (\w[\w ]*)|'
    'exited unexpectedly)')


@contextmanager
def explained_faults(runner: Runner) -> Iterator[None]:
    """Tell faults of machine and data in one message, instead of a trace.

    Raises:
        RunError: no memory, no room on the disk, a worker of a data loader that died,
            or an error in one. Its cause is the error that was raised.
    """
    try:
        yield
    except RunError:
        raise
    except Exception as error:
        message = _explain(error, runner.cfg, runner.work_dir)
        if message is None:
            raise
        raise RunError(message) from error


def _explain(error: Exception, cfg: Config, work_dir: str) -> str | None:
    text = str(error)
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)) or (
            isinstance(error, RuntimeError) and _NO_MEMORY.search(text)):
        gpu = isinstance(error, torch.cuda.OutOfMemoryError)
        return f"out of memory{' on the GPU' if gpu else ''}: {_less_memory(cfg, gpu)}"
    dead = _DEAD_WORKER.search(text)
    if dead:
        return (
            f'a worker of a data loader died ({dead[1]}). If the machine has run out '
            'of memory, lower train_dataloader.num_workers (and val_, test_) or '
            'model.cache.ram_gb; if of shared memory (Bus error), lower num_workers or '
            'enlarge /dev/shm. The last checkpoint is kept: --resume goes on')
    if isinstance(error, OSError) and error.errno in _NO_ROOM or (
            'PytorchStreamWriter failed' in text):
        where = getattr(error, 'filename', None) or work_dir
        return (
            f"'{where}' cannot be written: "
            f"{getattr(error, 'strerror', None) or 'no room on the disk'}. Make room; "
            'no file is half written, and --resume goes on from the last checkpoint')
    if text.startswith('Caught ') and ' in DataLoader worker process' in text:
        return _of_a_worker(text)
    return None


def _less_memory(cfg: Config, gpu: bool) -> str:
    """The settings that take memory, as they are."""
    ways = []
    for name in ('train_dataloader', 'test_dataloader'):
        loader = cfg.get(name) or {}
        settings = dict(batch_size=loader.get('batch_size'))
        settings['dataset.img_size'] = (loader.get('dataset') or {}).get('img_size')
        settings['num_workers'] = None if gpu else loader.get('num_workers')
        ways += [f'{name}.{key}={value}' for key, value in settings.items() if value]
    cache = (cfg.get('model') or {}).get('cache') or {}
    if not gpu and cache.get('ram_gb'):
        ways.append(f"model.cache.ram_gb={cache['ram_gb']}")
    return (
        f"lower {', '.join(ways) or 'the batch size'}, train with --amp, or take a "
        'smaller backbone')


def _of_a_worker(text: str) -> str:
    """The message of an error that a data loader hands on with its trace."""
    kind = re.match(r'Caught ([\w.]+) in', text)[1].rpartition('.')[2]
    message = text.rpartition(f'\n{kind}: ')[2]
    return message.strip()
