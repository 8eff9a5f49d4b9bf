"""Convert a released CST checkpoint (PyTorch Lightning) to one of mmwsfs."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import mmengine
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor

import mmwsfs
from mmwsfs.models.backbones.dino_checkpoint import read_state_dict, to_mmpretrain_names
from mmwsfs.registry import DATASETS, MODELS
from mmwsfs.utils.checkpoint_file import check_target, read_checkpoint, write_checkpoint
from mmwsfs.utils.config_file import config_path
from mmwsfs.utils.state_dict import check_state_dict, find_state_dict

# Packages whose objects Lightning writes beside the weights: hyper-parameters, the
# callbacks' state. None of them is made.
LEFT_PACKAGES = ('argparse', 'lightning', 'lightning_fabric', 'numpy', 'pathlib',
                 'pytorch_lightning')
BACKBONE = 'backbone.'
MEND = 'give whole checkpoints, and by --config the config of their model'
# Our name -> CST's. Channels need no reordering: both have (q | k | v, head, width) in
# qkv and head * L + block in the correlation.
_LEARNER_NAMES = (
    (r'^neck\.blocks\.(\d+)\.qkv\.', r'learner.corrtransformer.\1.attn.qkv.'),
    (r'^neck\.blocks\.(\d+)\.shortcut\.0\.',
     r'learner.corrtransformer.\1.attn.short_cut.0.'),
    (r'^neck\.blocks\.(\d+)\.shortcut\.1\.',  # CST pools between the two
     r'learner.corrtransformer.\1.attn.short_cut.2.'),
    (r'^neck\.blocks\.(\d+)\.aggregate\.', r'learner.corrtransformer.\1.attn.agg.'),
    (r'^neck\.blocks\.(\d+)\.attention_norm\.',
     r'learner.corrtransformer.\1.attn.out_norm.'),
    (r'^neck\.blocks\.(\d+)\.ffn\.', r'learner.corrtransformer.\1.ff.ff.'),
    (r'^neck\.blocks\.(\d+)\.ffn_norm\.', r'learner.corrtransformer.\1.ff.out_norm.'),
    (r'^neck\.project\.', r'learner.linear.'),
    (r'^(cls|seg)_head\.layers\.([02])\.', r'learner.decoder1_\1.\2.'),
    (r'^(cls|seg)_head\.layers\.5\.', r'learner.decoder2_\1.0.'),
    (r'^(cls|seg)_head\.layers\.7\.', r'learner.decoder2_\1.2.'),
)


def cst_name(name: str) -> str:
    """CST's name of a parameter of our neck or heads."""
    for pattern, replacement in _LEARNER_NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def read_cst(path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """Read a Lightning checkpoint.

    Returns:
        tuple: its state dict, and the names of what it holds beside.

    Raises:
        FileNotFoundError, ValueError: see :func:`read_checkpoint`; or it is a
            checkpoint without a state dict of tensors.
    """
    checkpoint = read_checkpoint(path, inert=LEFT_PACKAGES)
    keys = list(checkpoint) if isinstance(checkpoint, Mapping) else []
    weights = find_state_dict(checkpoint)
    if 'state_dict' not in keys or weights is None:
        holds = ', '.join(map(str, keys[:8])) or type(checkpoint).__name__
        raise ValueError(
            f"checkpoint '{path}' holds no 'state_dict' of tensors, as one of CST "
            f'does, but {holds}')
    return weights, [str(key) for key in keys if key != 'state_dict']


def take_learner(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor],
                 path: Path) -> dict[str, str]:
    """Our names of neck and heads -> CST's.

    Args:
        weights: state dict of the file ``path``.
        expected: state dict of our model.

    Raises:
        ValueError: a tensor is missing, unknown, or of another shape.
    """
    names = {ours: cst_name(ours) for ours in expected if not ours.startswith(BACKBONE)}
    check_state_dict(
        {name: value for name, value in weights.items() if name.startswith('learner.')},
        {theirs: expected[ours] for ours, theirs in names.items()},
        f"checkpoint '{path}' is no CST for this config", MEND)
    return names


def take_backbone(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor],
                  path: Path | str | None) -> dict[str, str]:
    """Our names of the backbone -> the names in ``weights``; else as above.

    Raises:
        ValueError: a tensor is missing, unknown, or of another shape, by our names.
    """
    names = {}
    for theirs, value in weights.items():
        if theirs.startswith(BACKBONE):
            for ours in to_mmpretrain_names({theirs.removeprefix(BACKBONE): value}):
                names[BACKBONE + ours] = theirs
    check_state_dict(
        {ours: weights[theirs] for ours, theirs in names.items()},
        {ours: value for ours, value in expected.items() if ours.startswith(BACKBONE)},
        f"the backbone in '{path}' does not fit this config", MEND)
    return names


def read_backbone(backbone: str | None, has_backbone: bool,
                  path: Path) -> dict[str, Tensor]:
    """The tensors that ``--backbone`` names; none where the file ``path`` has them.

    Raises:
        ValueError: there are two backbones, or none; or see :func:`read_state_dict`.
    """
    if has_backbone and backbone is not None:
        raise ValueError(
            f"checkpoint '{path}' has backbone weights of its own: leave out "
            '--backbone')
    if has_backbone:
        return {}
    if backbone is None:
        raise ValueError(
            f"checkpoint '{path}' has no backbone weights: name the file that has, by "
            '--backbone FILE')
    print(f"'{path}' has no backbone weights: taken from '{backbone}'")
    renamed = to_mmpretrain_names(read_state_dict(backbone))
    return {BACKBONE + name: value for name, value in renamed.items()}


def report(what: str, names: Iterable[str]) -> None:
    """Print how many names there are, and which."""
    names = list(names)
    print(f"{len(names)} {what}{': ' if names else ''}{', '.join(names)}")


def convert(src: Path, dst: Path, config: str, backbone: str | None) -> None:
    """Convert ``src``, with the backbone of the file or URL ``backbone`` if named."""
    sources = [src]
    if backbone is not None and '://' not in backbone:
        sources.append(Path(backbone).expanduser())
        if not sources[-1].is_file():
            raise FileNotFoundError(f"--backbone '{backbone}' does not exist")
    check_target(dst, *sources)
    weights, beside = read_cst(src)
    cfg = Config.fromfile(config)
    init_default_scope(cfg.get('default_scope', 'mmwsfs'))
    expected = MODELS.build(cfg.model).state_dict()

    names = take_learner(weights, expected, src)
    has_backbone = any(name.startswith(BACKBONE) for name in weights)
    weights.update(read_backbone(backbone, has_backbone, src))
    names.update(take_backbone(weights, expected, src if has_backbone else backbone))
    state_dict = {ours: weights[theirs] for ours, theirs in names.items()}
    meta = dict(
        cfg=cfg.pretty_text,
        dataset_meta=dict(DATASETS.get(cfg.test_dataloader.dataset.type).METAINFO),
        mmengine_version=mmengine.__version__,
        mmwsfs_version=mmwsfs.__version__,
        source=src.name)
    write_checkpoint(dict(meta=meta, state_dict=state_dict), dst)

    # By parts, as there are hundreds: learner.linear, backbone.blocks.
    parts = Counter('.'.join(name.split('.')[:2]) for name in names.values())
    report('parts used', (f'{name} ({count})' for name, count in parts.items()))
    report('tensors left', sorted(weights.keys() - names.values()))
    report('entries left beside the state dict', beside)
    print(f"wrote '{dst}', {len(state_dict)} tensors, for '{config}'")


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Convert as ``mmwsfs convert cst`` was told."""
    convert(args.src, args.dst, config_path(args.config), args.backbone)
