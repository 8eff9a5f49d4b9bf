"""Checkpoints as safetensors: tensors, and a text that cannot be run.

Beside the tensors a file has one text, since several come in any order: ``mmwsfs``, the
checkpoint's ``meta`` in JSON. ``meta.cfg`` is the config as a JSON object.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from .carried_config_text import config_text, parse_config
from .files import write_whole_bytes

SUFFIX = '.safetensors'
_KEY = 'mmwsfs'
_TUPLE = '__tuple__'  # JSON knows lists alone


def _to_json(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise ValueError(
                    f'{key}: the key {name!r} is no text, as safetensors needs it: '
                    'write a .pth file instead')
        return {name: _to_json(one, f'{key}.{name}') for name, one in value.items()}
    if isinstance(value, tuple):
        return {_TUPLE: [_to_json(one, key) for one in value]}
    if isinstance(value, list):
        return [_to_json(one, key) for one in value]
    if hasattr(value, 'tolist'):  # NumPy's
        return _to_json(value.tolist(), key)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(
        f'{key} is a {type(value).__name__}, which safetensors cannot hold: write a '
        '.pth file instead')


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {_TUPLE} and isinstance(value[_TUPLE], list):
            return tuple(_from_json(one) for one in value[_TUPLE])
        return {name: _from_json(one) for name, one in value.items()}
    return [_from_json(one) for one in value] if isinstance(value, list) else value


def read_safetensors(path: Path, map_location: Any = None) -> dict[str, Any]:
    """Read a file of safetensors as if it were a checkpoint of ``torch.save``.

    Args:
        path: the file, of anybody.
        map_location: a device, or its name. Defaults to None, the CPU.

    Returns:
        dict: ``state_dict``, and ``meta``, a dict, with ``cfg`` as Python text.

    Raises:
        FileNotFoundError: there is no such file.
        PermissionError: it may not be read.
        ValueError: it is damaged, or no file of safetensors.
    """
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint '{path}' does not exist")
    with path.open('rb'):  # may it be read?
        pass
    try:
        with safe_open(path, 'pt') as file:
            text = (file.metadata() or {}).get(_KEY, '{}')
            weights = {name: file.get_tensor(name) for name in file.keys()}
        meta = _from_json(json.loads(text))
        if not isinstance(meta, dict):
            raise ValueError('no object')
        if isinstance(meta.get('cfg'), dict):
            meta['cfg'] = config_text(meta['cfg'])
    except (SafetensorError, ValueError, RecursionError) as error:
        raise ValueError(
            f"checkpoint '{path}' is truncated, or is no file of safetensors: get it "
            'again') from error
    if isinstance(map_location, (str, torch.device)):
        weights = {name: value.to(map_location) for name, value in weights.items()}
    return dict(meta=meta, state_dict=weights)


def write_safetensors(checkpoint: Mapping[str, Any], path: Path) -> None:
    """Write a checkpoint as safetensors: all of it, or none.

    Tensors that share memory are written one by one, as they will be read.

    Args:
        checkpoint: ``state_dict``, and ``meta``, a dict of plain values, whose ``cfg``
            is a config's Python text.
        path: the file; an existing one is replaced.

    Raises:
        OSError: it cannot be written.
        ValueError: it holds what safetensors cannot: the message says which.
    """
    weights = {}
    for name, value in checkpoint['state_dict'].items():
        if not isinstance(value, Tensor) or value.layout != torch.strided or (
                value.is_quantized):
            raise ValueError(
                f'the weight {name} is no plain tensor, which safetensors cannot hold: '
                'write a .pth file instead')
        weights[name] = value.detach().cpu().contiguous().clone()
    meta = dict(checkpoint.get('meta', {}))
    if 'cfg' in meta:
        meta['cfg'] = parse_config(meta['cfg'], str(path))
    text = json.dumps(_to_json(meta, 'meta'), ensure_ascii=False)
    write_whole_bytes(path, save(weights, {_KEY: text}))
