"""What a backbone's file holds, told by its names and shapes alone, and what follows
for the config."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from mmwsfs.utils.state_dict import check_state_dict

from .vit_names import official_names

# Width, whether FFNs are SwiGLUs -> ViT-?, its blocks, and what the two classes of ViTs
# call it.
_SIZES = {
    (384, False): ('S', 12, 'deit-small', 'small'),
    (384, True): ('S+', 12, '', 'small+'),
    (768, False): ('B', 12, 'deit-base', 'base'),
    (1024, False): ('L', 24, 'large', 'large'),
    (1280, True): ('H+', 32, '', 'huge+'),
    (1536, True): ('g', 40, 'dinov2-giant', ''),
}


class ViTDescription(NamedTuple):
    """A ViT that weights are of.

    Attributes:
        words: for a person, such as "a ViT-B/14 with 4 registers, as DINOv2's".
        settings: of ``model.backbone``, as texts.
        partial: whether blocks of it are missing.
    """

    words: str
    settings: dict[str, str]
    partial: bool


def describe(weights: Mapping[str, Tensor]) -> ViTDescription | None:
    """Which ViT weights are of.

    Args:
        weights: by the names that :func:`.official_names` gives.

    Returns:
        ViTDescription, optional: None where they are of no ViT with a CLS token.
    """
    patches = weights.get('patch_embed.proj.weight')
    blocks = sorted({int(found[1]) for found in (
        re.match(r'blocks\.(\d+)\.norm1\.weight$', name) for name in weights) if found})
    if patches is None or patches.ndim != 4 or not blocks or 'cls_token' not in weights:
        return None
    width, patch = patches.shape[0], patches.shape[-1]
    first = f'blocks.{blocks[0]}.'
    swiglu = f'{first}mlp.w12.weight' in weights
    scaled = f'{first}ls1.gamma' in weights
    rotary = 'pos_embed' not in weights
    registers = _length(weights.get('register_tokens'))
    unknown = ('', len(blocks), '', '')
    size, depth, *archs = _SIZES.get((width, swiglu), unknown)
    if blocks[-1] >= depth:
        size, depth, *archs = unknown
    partial = blocks != [*range(depth)]
    name = f'ViT-{size}/{patch}' if size else (
        f'ViT of width {width}, {depth} blocks, patches of {patch} pixels')
    words = f'a {name}'
    if partial:
        words = f'{len(blocks)} blocks ({blocks[0]} to {blocks[-1]}) of {words}'
    if registers:
        words += f' with {registers} registers'
    words += f", as {'DINOv3' if rotary else 'DINOv2' if scaled else 'DINO'}'s"
    arch = archs[rotary]
    settings = dict(
        type=repr('DINOv3VisionTransformer' if rotary else 'DINOVisionTransformer'),
        arch=repr(arch) if arch and not partial else (
            f'dict(embed_dims={width}, num_layers={len(blocks)}, ...)'),
        patch_size=f'{patch}')
    if not rotary:
        side = round(max(0, _length(weights['pos_embed']) - 1)**0.5)
        settings.update(
            img_size=f'{side * patch}', num_registers=f'{registers}',
            layer_scale_init_value='1.' if scaled else '0.',
            layer_cfgs="dict(ffn_type='swiglu_fused')" if swiglu else 'dict()')
    return ViTDescription(words, settings, partial)


def _length(tokens: Tensor | None) -> int:
    """L of (1, L, C), or 0."""
    return tokens.shape[1] if tokens is not None and tokens.ndim == 3 else 0


def check_vit(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor],
              source: str) -> None:
    """Require that weights are those of a ViT, no more and no less.

    Args:
        weights: what was read, by the module's names.
        expected: the module's own state dict.
        source: where the weights were read from.

    Raises:
        ValueError: lists what does not fit, and says what the file holds and which
            settings take it; or weights are NaN or infinite.
    """
    check_state_dict(
        weights, expected, f"checkpoint '{source}' does not fit this backbone",
        _mend(official_names(weights), official_names(expected)))


def _mend(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    found, wanted = describe(weights), describe(expected)
    if found is None:
        return _no_vit([*weights])
    own: Mapping[str, Any] = wanted.settings if wanted else {}
    if found.settings['type'] == own.get('type'):
        change = {name: value for name, value in found.settings.items()
                  if value != own[name]}
    else:  # of the other class all, but defaults
        change = {name: value for name, value in found.settings.items()
                  if value not in ('0', '0.', 'dict()')}
        change = {'_delete_': 'True', **change, 'init_cfg': '...'}
    if not change:
        return (f'the file holds {found.words}, as the config says, but parts are '
                'missing or added: get it again from its authors')
    if found.partial and 'arch' in change:
        return f'the file holds {found.words}: get the whole one'
    values = ', '.join(f'{name}={value}' for name, value in change.items())
    return f'the file holds {found.words}: set model.backbone=dict({values})'


def _no_vit(names: list[str]) -> str:
    if 'backbone_digest' in names:
        return ('the file holds a whole model whose backbone was left out: give it as '
                "the model's checkpoint, and here the backbone's own file")
    if any(re.search(r'(^|\.)layer1\.0\.', name) for name in names):
        return "the file holds a ResNet: give a ViT's file"
    return ('the file holds no ViT with a CLS token: its first names are '
            f"{', '.join(names[:5]) or 'none'}")
