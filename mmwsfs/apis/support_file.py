"""Supports in one file: what a model keeps of them, and thumbnails.

The file is one of safetensors. Its metadata have, under ``mmwsfs.supports``, JSON::

    {"format": 1, "model": DIGEST, "names": [...], "shots": [...], "negative_of": [...],
     "paths": [...]}

see :class:`.SupportSet`. Its tensors are those that the model keeps, by the names of
their fields (``embedded.tokens.tokens``), and the thumbnails as JPEG files
(``picture.0``).
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mmwsfs.models import EpisodeSegmentor
from mmwsfs.utils.files import write_whole_bytes
from mmwsfs.utils.module_digest import digest_module

from .support_set import SupportSet, check_supports

_KEY = 'mmwsfs.supports'
_FORMAT = 1
_LARGEST_SIDE = 4096  # of a mask and of a thumbnail, in pixels


class _Damaged(Exception):
    """What is in the file does not fit together; says what."""


class _Other(Exception):
    """The file is of another model or release; says what to do."""


def supports_digest(model: EpisodeSegmentor, settings: str) -> str:
    """Which model supports are of, and what is done to an image before it, as hex."""
    text = f'{digest_module(model)}\n{settings}'
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


# ------------------------------------------------------------ what a model keeps
def _fields(value: Any) -> dict[str, Any] | None:
    """Of a NamedTuple or a dataclass the fields; None of anything else."""
    if isinstance(value, tuple) and hasattr(value, '_asdict'):
        return value._asdict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name)
                for field in dataclasses.fields(value)}
    return None


def _tensors(value: Any, name: str) -> dict[str, Tensor]:
    """All tensors in NamedTuples and dataclasses, by the names of their fields."""
    if isinstance(value, Tensor):
        return {name: value.detach().cpu().contiguous()}
    found: dict[str, Tensor] = {}
    for field, inner in (_fields(value) or {}).items():
        found.update(_tensors(inner, f'{name}.{field}'))
    return found


def _filled(pattern: Any, name: str, take: Callable[[str, Tensor], Tensor]) -> Any:
    """A copy of what a model keeps, with other tensors in it."""
    if isinstance(pattern, Tensor):
        return take(name, pattern)
    fields = _fields(pattern)
    if fields is None:  # None, or a size
        return pattern
    filled = {field: _filled(inner, f'{name}.{field}', take)
              for field, inner in fields.items()}
    return type(pattern)(**filled)


@torch.no_grad()
def _pattern(model: EpisodeSegmentor, size: tuple[int, int]) -> Any:
    """What the model keeps of a blank image of (h, w) pixels: of which parts it is."""
    device = next(model.parameters()).device
    features = model.extract_feat(torch.zeros(1, 3, *size, device=device))
    return model.embed_supports(
        features, torch.ones(1, *size, dtype=torch.bool, device=device))


# ------------------------------------------------------------ thumbnails
def _as_jpeg(picture: np.ndarray) -> Tensor:
    content = io.BytesIO()
    Image.fromarray(picture).save(content, 'JPEG', quality=90)
    return torch.frombuffer(bytearray(content.getvalue()), dtype=torch.uint8)


def _of_jpeg(content: Tensor) -> np.ndarray:
    try:
        with Image.open(
                io.BytesIO(content.numpy().tobytes()), formats=['JPEG']) as picture:
            if max(picture.size) <= _LARGEST_SIDE:
                return np.asarray(picture.convert('RGB'))
    except OSError:
        pass
    raise _Damaged('a thumbnail is no small JPEG')


# ------------------------------------------------------------ the file
def write_supports(path: str | Path, supports: SupportSet, model: EpisodeSegmentor,
                   settings: str) -> None:
    """Write a file of supports, in one step.

    Args:
        path: the file; '~' is the home folder.
        supports: of the model.
        model: whose they are.
        settings: what is done to an image before it, as text.

    Raises:
        OSError: it cannot be written.
    """
    pictures = [picture for shots in supports.pictures for picture in shots]
    tensors = _tensors(supports.embedded, 'embedded')
    tensors.update({
        f'picture.{number}': _as_jpeg(picture)
        for number, picture in enumerate(pictures)})
    content = dict(
        format=_FORMAT, model=supports_digest(model, settings), names=supports.names,
        shots=supports.shots, negative_of=supports.negative_of, paths=supports.paths)
    write_whole_bytes(
        Path(path).expanduser(), save(tensors, {_KEY: json.dumps(content)}))


def read_supports(path: str | Path, model: EpisodeSegmentor,
                  settings: str) -> SupportSet:
    """Read a file of supports. Nothing that it contains is run.

    Args:
        path: the file; '~' is the home folder.
        model: whose they have to be; they come to its device.
        settings: what is done to an image before it, as text.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, no file of supports, or of another model.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"file of supports '{path}' does not exist")
    try:
        with safe_open(path, framework='pt') as file:
            return _read(file, model, settings)
    except (_Damaged, SafetensorError) as error:
        raise ValueError(
            f"'{path}' is no whole file of supports ({error}): write it again by "
            'FewShotInferencer.save_supports') from None
    except _Other as error:
        raise ValueError(f"'{path}': {error}") from None


def _read(file: Any, model: EpisodeSegmentor, settings: str) -> SupportSet:
    content = _content(file.metadata())
    if content['model'] != supports_digest(model, settings):
        raise _Other(
            'these supports are of another model, or of images of another size: load '
            'them into the model that wrote them, or set supports again')
    names, shots, negative_of, paths = (
        content[key] for key in ('names', 'shots', 'negative_of', 'paths'))
    left = set(file.keys())

    def take(name: str) -> Tensor:
        if name not in left:
            raise _Damaged(f"'{name}' is missing")
        left.remove(name)
        return file.get_tensor(name)

    def part(name: str, pattern: Tensor) -> Tensor:
        value = take(name)
        expected = (len(paths), *pattern.shape[1:])
        if value.dtype != pattern.dtype or tuple(value.shape) != expected:
            raise _Damaged(
                f"'{name}' is {tuple(value.shape)} {value.dtype} instead of {expected} "
                f'{pattern.dtype}')
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise _Damaged(f"'{name}' has values that are no numbers")
        return value.to(pattern.device)

    embedded = _filled(_pattern(model, _mask_size(file)), 'embedded', part)
    pictures, number = [], 0
    for shot in shots[:len(names)]:
        pictures.append([
            _of_jpeg(take(f'picture.{number + index}')) for index in range(shot)])
        number += shot
    if left:
        raise _Damaged(f"nobody knows '{min(left)}'")
    return SupportSet(names, shots, negative_of, embedded, pictures, paths)


def _content(metadata: dict[str, str] | None) -> dict[str, Any]:
    """What the file says of itself, each of its type and range."""
    if _KEY not in (metadata or {}):
        raise _Damaged('it says nothing of supports')
    try:
        content = json.loads((metadata or {})[_KEY])
    except (ValueError, RecursionError):
        raise _Damaged('its metadata are no JSON') from None
    if not isinstance(content, dict):
        raise _Damaged('its metadata are no table')
    if content.get('format') != _FORMAT:
        raise _Other(
            f"its format is {content.get('format')!r}, but this release reads "
            f'{_FORMAT}: set supports again')

    def rows(key: str, right: Callable[[Any], bool]) -> list:
        values = content.get(key)
        if not isinstance(values, list) or not all(map(right, values)):
            raise _Damaged(f"'{key}' is wrong")
        return values

    names = rows('names', lambda name: isinstance(name, str))
    shots = rows('shots', lambda shot: type(shot) is int and shot > 0)
    negative_of = rows(
        'negative_of', lambda way: type(way) is int and 0 <= way < len(names))
    paths = rows('paths', lambda path: path is None or isinstance(path, str))
    if (len(set(names)) < len(names) or len(shots) != len(names) + len(negative_of)
            or any(shot != 1 for shot in shots[len(names):])
            or sum(shots) != len(paths)):
        raise _Damaged('its classes do not fit their supports')
    try:
        check_supports(dict(zip(names, ([shot] for shot in shots))))
    except ValueError as error:
        raise _Damaged(str(error)) from None
    return content


def _mask_size(file: Any) -> tuple[int, int]:
    """(h, w) of the supports' masks, before anything of that size is made."""
    name = 'embedded.masks'
    if name not in file.keys():
        raise _Damaged(f"'{name}' is missing")
    shape = file.get_slice(name).get_shape()
    if len(shape) != 3 or not all(0 < side <= _LARGEST_SIDE for side in shape[1:]):
        raise _Damaged(f"'{name}' is {tuple(shape)}")
    return shape[1], shape[2]
