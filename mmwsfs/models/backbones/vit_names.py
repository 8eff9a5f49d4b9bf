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
# DINOv3's ``model_ema`` is its teacher, or that of the model it is distilled into.
_PREFERRED = ('model_ema', 'teacher_ema', 'teacher', 'ema', 'backbone', 'student')

_BLOCK = re.compile(
    r'(?:encoder\.|model\.)?(?:layers?|blocks)\.(?:\d+\.(?=\d+\.))?(\d+)\.')
# Any release's name -> the authors', the first that fits: outside of blocks, in one.
_OUTSIDE, _INSIDE = (
    tuple((re.compile(pattern), replacement) for pattern, replacement in renames)
    for renames in ((
        (r'embeddings\.(cls_token|mask_token|register_tokens)$', r'\1'),
        (r'embeddings\.position_embeddings$', 'pos_embed'),
        (r'(?:embeddings\.patch_embeddings|patch_embed)\.(?:projection\.)?'
         r'(?=weight$|bias$)', 'patch_embed.proj.'),
        (r'(?:storage_tokens|reg_token)$', 'register_tokens'),
        (r'(?:layernorm|ln1)\.', 'norm.'),
    ), (
        (r'(?:layernorm_before|ln1)\.', 'norm1.'),
        (r'(?:layernorm_after|ln2)\.', 'norm2.'),
        (r'(?:attention|attn)\.(?:attention\.)?([qkv])(?:uery|ey|alue|_proj)\.',
         r'attn.\1.'),
        (r'attn\.([qkv])_bias$', r'attn.\1.bias'),
        (r'attention\.(?:output\.dense|o_proj)\.', 'attn.proj.'),
        (r'(?:layer_scale|gamma_|ls)([12])(?:\.lambda1|\.gamma)?$', r'ls\1.gamma'),
        (r'(?:attn|ffn)\.gamma([12])\.weight$', r'ls\1.gamma'),
        (r'(?:intermediate\.dense|ffn\.layers\.0\.0|mlp\.up_proj)\.', 'mlp.fc1.'),
        (r'(?:output\.dense|ffn\.layers\.1|mlp\.down_proj)\.', 'mlp.fc2.'),
        (r'(?:mlp\.weights_in|ffn\.w12)\.', 'mlp.w12.'),
        (r'(?:mlp\.weights_out|ffn\.w3)\.', 'mlp.w3.'),
        (r'mlp\.(?:gate_proj|fc1_g)\.', 'mlp.w1.'),
        (r'mlp\.fc1_x\.', 'mlp.w2.'),
    )))
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
        name = _renamed(name[len(prefix):])
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


def _renamed(name: str) -> str:
    block = _BLOCK.match(name)
    rest = name[block.end():] if block else name
    for pattern, replacement in _INSIDE if block else _OUTSIDE:
        found = pattern.match(rest)
        if found:
            rest = found.expand(replacement) + rest[found.end():]
            break
    return f'blocks.{block[1]}.{rest}' if block else rest


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
        if last is not None and last.ndim == 2 and (
                state[weight].shape[:1] == (2 * last.shape[1], )):
            for name in [name for name in state if name.startswith(f'{block}fc1.')]:
                state[name.replace('.fc1.', '.w12.')] = state.pop(name)
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
