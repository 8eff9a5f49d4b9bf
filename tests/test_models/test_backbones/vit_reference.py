"""Files as they are released, made here, and timm's ViT that computes from them."""

from __future__ import annotations

import math

import torch
from timm.models.vision_transformer import VisionTransformer as TimmViT
from torch import Tensor


def official(width: int, hidden: int, depth: int, patch: int, patches: int,
             layer_scale: bool = False, swiglu: bool = False,
             registers: int = 0) -> dict[str, tuple[str | None, tuple[int, ...]]]:
    """Official name -> (mmpretrain's name, shape), written out by hand.

    ``hidden`` is the width of a plain FFN; a SwiGLU's is computed from it as in the
    DINOv2 release. DINOv2's files (``layer_scale``) also have a mask token, which is
    no part of the backbone: its name is None.
    """
    table = {
        'cls_token': ('cls_token', (1, 1, width)),
        'pos_embed': ('pos_embed', (1, 1 + patches, width)),
        'patch_embed.proj.weight': (
            'patch_embed.projection.weight', (width, 3, patch, patch)),
        'patch_embed.proj.bias': ('patch_embed.projection.bias', (width, )),
        'norm.weight': ('ln1.weight', (width, )),
        'norm.bias': ('ln1.bias', (width, )),
    }
    if registers:
        table['register_tokens'] = ('register_tokens', (1, registers, width))
    if layer_scale:
        table['mask_token'] = (None, (1, width))
    ffn = [('mlp.fc1', 'ffn.layers.0.0', (hidden, width)),
           ('mlp.fc2', 'ffn.layers.1', (width, hidden))]
    if swiglu:
        hidden = (int(hidden * 2 / 3) + 7) // 8 * 8
        ffn = [('mlp.w12', 'ffn.w12', (2 * hidden, width)),
               ('mlp.w3', 'ffn.w3', (width, hidden))]
    for n in range(depth):
        old, new = f'blocks.{n}.', f'layers.{n}.'
        for before, after, shape in [
                ('norm1', 'ln1', (width, )),
                ('attn.qkv', 'attn.qkv', (3 * width, width)),
                ('attn.proj', 'attn.proj', (width, width)),
                ('norm2', 'ln2', (width, )), *ffn]:
            table[f'{old}{before}.weight'] = (f'{new}{after}.weight', shape)
            table[f'{old}{before}.bias'] = (f'{new}{after}.bias', shape[:1])
        if layer_scale:
            table[f'{old}ls1.gamma'] = (f'{new}attn.gamma1.weight', (width, ))
            table[f'{old}ls2.gamma'] = (f'{new}ffn.gamma2.weight', (width, ))
    return table


def tensors(table: dict[str, tuple[str | None, tuple[int, ...]]]) -> dict[str, Tensor]:
    """Random weights by official name; every part of them counts in the tokens."""
    generator = torch.Generator().manual_seed(1)
    weights = {}
    for name, (_, shape) in table.items():
        value = torch.randn(shape, generator=generator)
        if name.endswith(('norm.weight', 'norm1.weight', 'norm2.weight', 'gamma')):
            value = 1 + 0.2 * value
        elif name.endswith('.weight'):
            value /= math.prod(shape[1:])**0.5  # keeps activations of order one
        elif name.endswith('.bias'):
            value *= 0.2
        weights[name] = value
    return weights


def load_timm(model: TimmViT, weights: dict[str, Tensor]) -> TimmViT:
    """Give timm's model official weights, every name of which it must know."""
    renamed = {}
    for name, value in weights.items():
        name = name.replace('.mlp.w12.', '.mlp.fc1.').replace('.mlp.w3.', '.mlp.fc2.')
        renamed[name.replace('register_tokens', 'reg_token')] = value
    renamed.pop('mask_token', None)
    if 'reg_token' in renamed:  # timm keeps the position of CLS in CLS itself
        renamed['cls_token'] = renamed['cls_token'] + renamed['pos_embed'][:, :1]
        renamed['pos_embed'] = renamed['pos_embed'][:, 1:]
    model.load_state_dict(renamed)
    return model.eval()


def timm_features(model: TimmViT,
                  images: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
    """Normed tokens of every block, and q and k of the last: CLS and patches."""
    streams, last_qkv = [], []
    for block in model.blocks:
        block.register_forward_hook(lambda *args: streams.append(args[-1]))
    last = model.blocks[-1].attn
    last.qkv.register_forward_hook(lambda *args: last_qkv.append(args[-1]))
    model.forward_features(images)
    kept = [0, *range(model.num_prefix_tokens, streams[0].shape[1])]
    qkv = last_qkv[0][:, kept]
    width, heads = qkv.shape[-1] // 3, last.num_heads
    head_width = width // heads
    queries, keys = (
        torch.stack([
            qkv[..., start + head * head_width:start + (head + 1) * head_width]
            for head in range(heads)], dim=1)
        for start in (0, width))
    return [model.norm(x)[:, kept] for x in streams], queries, keys
