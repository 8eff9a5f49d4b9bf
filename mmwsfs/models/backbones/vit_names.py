"""The names of a ViT's parameters: every release's, brought to one set.

DINO, DINOv2 and DINOv3 are found in files of their authors, of Hugging Face
(transformers, of before and after its version 5), of timm, and as parts of whole
trainings. All are told apart by the names in them alone. What they are brought to are
the authors' names::

    cls_token  pos_embed  register_tokens  patch_embed.proj  rope_embed.periods  norm
    blocks.N.norm1  .attn.qkv  .attn.proj  .ls1.gamma
    blocks.N.norm2  .mlp.{fc1,fc2 | w12,w3}  .ls2.gamma

``register_tokens`` are DINOv3's ``storage_tokens`` as well, ``w12`` also where a file
keeps the two halves of a SwiGLU apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

# What embeds the patches, whoever wrote the file. What stands before is a prefix, as of
# a part of a larger model.
_ANCHOR = re.compile(
    r'^(?P<prefix>(?:.*\.)?)(?:patch_embed\.(?:proj|projection)\.weight|'
    r'embeddings\.patch_embeddings\.(?:projection\.)?weight)$')
# Of several ViTs in one file the first of these: a teacher is what its training is for.
_PREFERRED = ('teacher_ema', 'teacher', 'ema', 'backbone', 'student')

_BLOCK = r'^(?:encoder\.|model\.)?(?:layers?|blocks)\.(?:\d+\.(?=\d+\.))?(\d+)\.'
# Any release's name -> the authors', applied in order.
_RENAMES = tuple((re.compile(pattern), replacement) for pattern, replacement in (
    (_BLOCK, r'blocks.\1.'),
    (r'^embeddings\.(cls_token|mask_token|register_tokens)$', r'\1'),
    (r'^embeddings\.position_embeddings$', 'pos_embed'),
    (r'^embeddings\.patch_embeddings\.(?:projection\.)?', 'patch_embed.proj.'),
    (r'^patch_embed\.projection\.', 'patch_embed.proj.'),
    (r'^(?:storage_tokens|reg_token)$', 'register_tokens'),
    (r'^(?:layernorm|ln1)\.', 'norm.'),
    (r'^(blocks\.\d+\.)(?:layernorm_before|ln1)\.', r'\1norm1.'),
    (r'^(blocks\.\d+\.)(?:layernorm_after|ln2)\.', r'\1norm2.'),
    (r'^(blocks\.\d+\.)(?:attention|attn)\.(?:attention\.)?(?:query|q_proj)\.',
     r'\1attn.q.'),
    (r'^(blocks\.\d+\.)(?:attention|attn)\.(?:attention\.)?(?:key|k_proj)\.',
     r'\1attn.k.'),
    (r'^(blocks\.\d+\.)(?:attention|attn)\.(?:attention\.)?(?:value|v_proj)\.',
     r'\1attn.v.'),
    (r'^(blocks\.\d+\.)attn\.([qkv])_bias$', r'\1attn.\2.bias'),
    (r'^(blocks\.\d+\.)attention\.(?:output\.dense|o_proj)\.', r'\1attn.proj.'),
    (r'^(blocks\.\d+\.)(?:layer_scale|gamma_|ls)([12])(?:\.lambda1|\.gamma)?$',
     r'\1ls\2.gamma'),
    (r'^(blocks\.\d+\.)attn\.gamma1\.weight$', r'\1ls1.gamma'),
    (r'^(blocks\.\d+\.)ffn\.gamma2\.weight$', r'\1ls2.gamma'),
    (r'^(blocks\.\d+\.)(?:intermediate\.dense|ffn\.layers\.0\.0|mlp\.up_proj)\.',
     r'\1mlp.fc1.'),
    (r'^(blocks\.\d+\.)(?:output\.dense|ffn\.layers\.1|mlp\.down_proj)\.',
     r'\1mlp.fc2.'),
    (r'^(blocks\.\d+\.)(?:mlp\.weights_in|ffn\.w12)\.', r'\1mlp.w12.'),
    (r'^(blocks\.\d+\.)(?:mlp\.weights_out|ffn\.w3)\.', r'\1mlp.w3.'),
    (r'^(blocks\.\d+\.)mlp\.(?:gate_proj|fc1_g)\.', r'\1mlp.w1.'),
    (r'^(blocks\.\d+\.)mlp\.fc1_x\.', r'\1mlp.w2.'),
))
# Of a training, or a classifier's: no part of the backbone.
_IGNORED = re.compile(
    r'^(mask_token$|local_cls_norm\.|pooler\.|head\.|cls_head\.|fc\.|fc_norm\.)')


def official_names(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parameters of the ViT in a file, by its authors' names.

    Matrices of queries, keys and values that a file keeps apart are joined, and a
    missing bias of one of them is 0; so are a SwiGLU's. DINOv3's ``bias_mask`` is
    applied. Position embeddings without CLS's, as timm's of ViTs with registers, get
    zeros for it.

    Args:
        state_dict: name -> tensor. A ViT of another kind keeps the names that are not
            known here.

    Raises:
        ValueError: a ``bias_mask`` is NaN, as in a model that no weights were loaded
            into; or a block's queries, keys and values are not all there.
    """
    prefix = find_prefix(state_dict)
    renamed: dict[str, Tensor] = {}
    for name, value in state_dict.items():
        if not name.startswith(prefix):
            continue
        name = name[len(prefix):]
        for pattern, replacement in _RENAMES:
            name = pattern.sub(replacement, name)
        if not _IGNORED.match(name):
            renamed[name] = value
    _join_attention(renamed)
    _join_swiglu(renamed)
    _apply_bias_mask(renamed)
    positions, cls = renamed.get('pos_embed'), renamed.get('cls_token')
    if positions is not None and cls is not None and positions.ndim == 3 and _square(
            positions.shape[1]):
        renamed['pos_embed'] = torch.cat([torch.zeros_like(cls), positions], dim=1)
    return renamed


def find_prefix(state_dict: Mapping[str, Tensor]) -> str:
    """What stands before the names of the ViT in a file; '' where there is none."""
    prefixes = [match['prefix'] for match in map(_ANCHOR.match, state_dict) if match]

    def rank(prefix: str) -> tuple[int, int]:
        parts = prefix.split('.')
        return next((place for place, word in enumerate(_PREFERRED) if word in parts),
                    len(_PREFERRED)), len(prefix)

    return min(prefixes, key=rank, default='')


def _square(number: int) -> bool:
    return round(number**0.5)**2 == number


def _join_attention(state: dict[str, Tensor]) -> None:
    """``attn.q``, ``.k``, ``.v`` -> ``attn.qkv``, in place."""
    for name in [name for name in state if re.search(r'\.attn\.q\.', name)]:
        parts = [name.replace('.q.', f'.{part}.') for part in 'qkv']
        like = state[name]
        if name.endswith('.weight') and any(part not in state for part in parts):
            raise ValueError(
                f"'{name}' is there, but not the keys or values beside it: the file is "
                'of a part of a ViT')
        state[name.replace('.q.', '.qkv.')] = torch.cat([
            state.pop(part) if part in state else torch.zeros_like(like)
            for part in parts])


def _join_swiglu(state: dict[str, Tensor]) -> None:
    """The halves of a SwiGLU -> ``mlp.w12`` and ``mlp.w3``, in place.

    Beside a gate, ``w1``, Hugging Face's second half was renamed as if it were a plain
    FFN's first layer; timm's packed SwiGLU is told by its shapes.
    """
    for gate in [name for name in state if '.mlp.w1.' in name]:
        other = next((name for name in (
            gate.replace('.w1.', '.w2.'), gate.replace('.w1.', '.fc1.'))
            if name in state), None)
        if other is not None:
            state[gate.replace('.w1.', '.w12.')] = torch.cat(
                [state.pop(gate), state.pop(other)])
    for weight in [name for name in state if name.endswith('.mlp.fc1.weight')]:
        block = weight[:-len('fc1.weight')]
        last = state.get(f'{block}fc2.weight')
        if last is not None and len(state[weight]) == 2 * last.shape[1]:
            for kind in ('weight', 'bias'):
                state[f'{block}w12.{kind}'] = state.pop(f'{block}fc1.{kind}')
    for name in [name for name in state if '.mlp.fc2.' in name]:
        if name.replace('.fc2.', '.w12.') in state:
            state[name.replace('.fc2.', '.w3.')] = state.pop(name)


def _apply_bias_mask(state: dict[str, Tensor]) -> None:
    """DINOv3's keys have no bias: the mask is 0 there, else 1. In place."""
    for name in [name for name in state if name.endswith('.attn.qkv.bias_mask')]:
        mask = state.pop(name)
        if not bool(mask.isfinite().all()):
            raise ValueError(
                f"'{name}' is NaN, which it is before weights are loaded: the file is "
                'of a model that was never loaded or trained')
        bias = name[:-len('_mask')]
        if bias in state:
            state[bias] = torch.where(mask == 0, torch.zeros_like(mask), state[bias])
