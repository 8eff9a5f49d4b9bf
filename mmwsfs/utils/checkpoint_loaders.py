"""MMEngine's loaders of checkpoints, made to unpickle nothing.

MMEngine reads a checkpoint safely, but what it cannot read so it unpickles all the
same: a file could then run anything. All its doors, ``load_from``, ``--resume`` and
``init_cfg``, lead through the schemes of its ``CheckpointLoader``. Importing this
module registers loaders that refuse such a file. mmwsfs has it imported as soon as both
mmwsfs and MMEngine's runner are: in mmseg's own tools, when a config imports mmwsfs.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

from .checkpoint_file import read_checkpoint
from .download import TIMEOUT, cached_file
from .hugging_face import HF_SCHEME, hf_file
from .training_objects import TRAINING_OBJECTS

_FORCE = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'


def fetch(url: str) -> tuple[Path, bool]:
    """The file of an ``http(s)://`` or ``hf://`` URL, kept in torch's hub cache.

    Returns:
        tuple: the file, and whether it was fetched now.

    Raises:
        OSError, ValueError: see :func:`~mmwsfs.utils.download.cached_file`.
    """
    folder = Path(torch.hub.get_dir(), 'checkpoints')
    return (hf_file if url.startswith(HF_SCHEME) else cached_file)(url, folder)


def read_url(url: str, **reading: Any) -> object:
    """Read a checkpoint at an ``http(s)://`` or ``hf://`` URL, see :func:`fetch`.

    Args:
        url: see :func:`~mmwsfs.utils.download.expected_digest`, and
            :func:`~mmwsfs.utils.hugging_face.hf_file`.
        **reading: as for :func:`~mmwsfs.utils.checkpoint_file.read_checkpoint`.

    Raises:
        OSError: it cannot be fetched.
        ValueError: it has another digest than the URL says, or cannot be read. A file
            fetched now is not kept then.
    """
    path, fetched = fetch(url)
    try:
        return read_checkpoint(path, **reading)
    except ValueError as error:
        mend = 'it is not kept' if fetched else 'or delete it to fetch it again'
        if fetched:
            path.unlink(missing_ok=True)
        raise ValueError(f"{error} (fetched from '{url}'; {mend})") from error


def load_from_local(filename: str, map_location: Any = None) -> object:
    """Takes the place of MMEngine's loader of local files."""
    return read_checkpoint(
        Path(filename).expanduser(), known=TRAINING_OBJECTS,
        map_location=map_location)


def load_from_http(filename: str, map_location: Any = None) -> object:
    """Takes the place of MMEngine's loader of URLs."""
    return read_url(filename, known=TRAINING_OBJECTS, map_location=map_location)


@contextmanager
def _weights_only() -> Iterator[None]:
    """``torch.load`` unpickles nothing, even when it is told to; no socket waits on."""
    before, timeout = os.environ.get(_FORCE), socket.getdefaulttimeout()
    os.environ[_FORCE] = '1'
    socket.setdefaulttimeout(TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(timeout)
        if before is None:
            del os.environ[_FORCE]
        else:
            os.environ[_FORCE] = before


def _guarded(loader: Callable) -> Callable:
    """One of MMEngine's loaders that refuses what it would unpickle."""

    @wraps(loader)
    def load(filename: str, map_location: Any = None) -> object:
        try:
            with _weights_only():
                return loader(filename, map_location=map_location)
        except OSError as error:
            raise OSError(f"cannot fetch checkpoint '{filename}': {error}") from error
        except ImportError:  # of a client that is not installed
            raise
        except Exception:  # torch's own advises to unpickle all the same
            pass
        raise ValueError(
            f"checkpoint '{filename}' is refused, and nothing in it was run: it is "
            'unknown, damaged, or holds more than plain tensors and values')

    return load


for _prefixes, _loader in {
        '': load_from_local,
        ('http://', 'https://', HF_SCHEME): load_from_http,
        ('modelzoo://', 'torchvision://'): _guarded(checkpoint.load_from_torchvision),
        ('open-mmlab://', 'openmmlab://'): _guarded(checkpoint.load_from_openmmlab),
        'mmcls://': _guarded(checkpoint.load_from_mmcls),
        'pavi://': _guarded(checkpoint.load_from_pavi),
        (r'(\S+\:)?s3://', r'(\S+\:)?petrel://'): _guarded(checkpoint.load_from_ceph),
}.items():
    CheckpointLoader.register_scheme(_prefixes, _loader, force=True)
