"""Reading foreign checkpoint files without running them, and writing files whole."""

from __future__ import annotations

import io
import re
import uuid
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from .files import file_sha256, write_whole_bytes
from .safetensors_file import SUFFIX, read_safetensors


class Inert:
    """Stands for an object that is not to be made; forgets what it is made with."""

    def __new__(cls, *args: object) -> Inert:
        return super().__new__(cls)

    def __init__(self, *args: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def _stand_in(name: str) -> type[Inert]:
    """A class that torch's unpickler takes for the one of this full name."""
    module, _, short = name.rpartition('.')
    return type(short, (Inert, ), dict(__module__=module))


def read_checkpoint(path: Path,
                    known: Sequence[Callable | tuple[Callable, str]] = (),
                    inert: Sequence[str] = (),
                    map_location: Any = 'cpu',
                    mmap: bool = False) -> object:
    """Read a file of ``torch.save``, or of safetensors, without running what it holds.

    A file whose name ends in ``.safetensors`` is read by :func:`.read_safetensors`.
    Beside tensors, numbers, strings and their containers another file may hold

    - objects of ``known`` classes and functions, which are made as they are, and
    - objects of the packages ``inert``, in whose place an :class:`Inert` comes; the
      packages are neither imported nor needed.

    Args:
        path: the file.
        known: classes and functions that are harmless to call, perhaps with the name
            in the file for which they stand.
        inert: names of top-level packages, e.g. 'argparse'.
        map_location: as for :func:`torch.load`. Defaults to the CPU.
        mmap: leave tensors in the file until they are copied, which must be soon: the
            file may not be written to meanwhile. Defaults to False.

    Raises:
        FileNotFoundError: there is no such file.
        PermissionError: it may not be read.
        ValueError: the file is truncated, no file of ``torch.save``, unpacks to more
            than it is, or holds other objects; the message names them.
    """
    if path.suffix == SUFFIX:
        return read_safetensors(path, map_location)
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint '{path}' does not exist")
    with path.open('rb'):  # may it be read?
        pass
    # No error or warning of torch's own goes on: they advise to unpickle all the same.
    try:
        with safe_globals([*known]), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            # Only the newer format, a zip file, tells what it holds.
            zipped = zipfile.is_zipfile(path)
            bomb = zipped and _unpacked_size(path) > path.stat().st_size
            foreign = sorted(
                get_unsafe_globals_in_checkpoint(path) if zipped and not bomb else ())
            refused = [name for name in foreign if name.split('.')[0] not in inert]
            if not refused and not bomb:
                with safe_globals([_stand_in(name) for name in foreign]):
                    return torch.load(
                        path, map_location=map_location, weights_only=True,
                        mmap=mmap and zipped)
    except Exception as error:
        refused = re.findall(r'GLOBAL (\S+\.\S+) ', str(error))[:1]
    if not refused:
        raise ValueError(
            f"checkpoint '{path}' is truncated, or is no PyTorch checkpoint of plain "
            'tensors and values: get it again')
    raise ValueError(
        f"checkpoint '{path}' is refused, and nothing in it was run: beside plain "
        f"tensors and values it holds {', '.join(refused)}; get the file from its "
        'authors, or save its state dict alone')


def _unpacked_size(path: Path) -> int:
    """Bytes in a zip file. PyTorch packs nothing: there are no more than it has."""
    with zipfile.ZipFile(path) as file:
        return sum(part.file_size for part in file.infolist())


def check_target(target: Path, *sources: Path) -> None:
    """Refuse a file to write that is a folder or one of the files to read.

    Raises:
        ValueError: it is one.
    """
    if target.is_dir():
        raise ValueError(f"'{target}' is a folder: name a file in it")
    for source in sources:
        if target.exists() and source.exists() and target.samefile(source):
            raise ValueError(
                f"'{target}' is the file to read, '{source}': name another to write")


def write_checkpoint(checkpoint: dict, path: Path, with_hash: bool = False) -> Path:
    """Write a file of ``torch.save``: all of it, or none.

    Its folder is made where it does not exist.

    Args:
        checkpoint: what to write.
        path: the file; an existing one is replaced.
        with_hash: put the first 8 hex digits of the file's sha256 before the suffix
            '.pth', as OpenMMLab and ``torch.hub`` have it: NAME-1a2b3c4d.pth.

    Returns:
        Path: the file written.
    """
    # What has its hash in its name is whole, too, before it has that name.
    target = path.with_name(uuid.uuid4().hex) if with_hash else path
    # In memory first: given a path, torch writes its name into the file, and of a disk
    # that is full it says only that it is not where it expected to be.
    content = io.BytesIO()
    torch.save(checkpoint, content)
    write_whole_bytes(target, content.getvalue())
    if not with_hash:
        return path
    digest = file_sha256(target)
    return target.rename(
        path.with_name(f"{path.name.removesuffix('.pth')}-{digest[:8]}.pth"))
