"""What a run's faults are, in words that say what to do."""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch

from mmwsfs.utils.run_error import RunError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_MEMORY = re.compile("can't allocate memory|not enough memory|out of memory")
_DEAD_WORKER = re.compile(
    r'DataLoader worker \(pid\(?s?\)? ?[\d, ]+\) (is killed by signal: (\w[\w ]*)|'
    'exited unexpectedly)')


@contextmanager
def explained_faults(cfg: Mapping, work_dir: str,
                     loaders: Sequence[str]) -> Iterator[None]:
    """Tell faults of machine and data in one message, instead of a trace.

    Args:
        cfg: of the run, for its settings.
        work_dir: of the run.
        loaders: settings of the data loaders that it uses.

    Raises:
        RunError: no memory, no room on the disk, a worker of a data loader that died,
            or an error in one. Its cause is the error that was raised.
    """
    try:
        yield
    except Exception as error:
        message = _explain(_cause(error), cfg, work_dir, loaders)
        if message is None:  # among others a RunError of this process
            raise
        raise RunError(message) from error


def _cause(error: Exception) -> Exception:
    """Of a connection that broke the death of the worker at its other end.

    PyTorch raises it a moment later, wherever this process is then.
    """
    if isinstance(error, (ConnectionError, EOFError, FileNotFoundError)):
        try:
            time.sleep(1)
        except RuntimeError as cause:
            return cause
    return error


def _explain(error: Exception, cfg: Mapping, work_dir: str,
             loaders: Sequence[str]) -> str | None:
    text = str(error)
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)) or (
            isinstance(error, RuntimeError) and _NO_MEMORY.search(text)):
        gpu = isinstance(error, torch.cuda.OutOfMemoryError)
        where = ' on the GPU' if gpu else ''
        return f'out of memory{where}: {_less_memory(cfg, loaders, gpu)}'
    dead = _DEAD_WORKER.search(text)
    if dead:
        counts = ' and '.join(f'{name}.num_workers' for name in loaders)
        return (
            f'a worker of a data loader died (it {dead[1]}). If the machine has run '
            f'out of memory, lower {counts} or model.cache.ram_gb; if of shared memory '
            '(Bus error), enlarge /dev/shm. '
            'The last checkpoint of a training is kept, and --resume goes on from it')
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return (
            f"'{error.filename or work_dir}' cannot be written: {error.strerror}. Make "
            'room; the last checkpoint is whole, and --resume goes on from it')
    if text.startswith('Caught ') and ' in DataLoader worker process' in text:
        return _of_a_worker(text)
    return None


def _less_memory(cfg: Mapping, loaders: Sequence[str], gpu: bool) -> str:
    """The settings that take memory, as they are."""
    ways = []
    for name in loaders:
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
    kind = text.split()[1]  # Caught KIND in ...
    *_, message = re.split(rf'^(?:\w+\.)*{kind}: ', text, flags=re.MULTILINE)
    return message.strip()
