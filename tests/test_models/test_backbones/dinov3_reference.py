"""DINOv3's files as they are released, made here, and two networks that others wrote:
timm's and transformers'."""

from __future__ import annotations

import math
from typing import NamedTuple

import timm
import torch
import torch.nn.functional as F
import transformers
from timm.models.eva import checkpoint_filter_fn
from torch import Tensor, nn
from transformers.models.dinov3_vit import modeling_dinov3_vit


class Size(NamedTuple):
    """Of a release, written out by hand.

    Attributes:
        timm: name of timm's network; with '_qkvb' its attention has biases.
        width: of tokens.
        depth: blocks.
        heads: of attention.
        hidden: width of the FFN.
        swiglu: its kind.
    """

    timm: str
    width: int
    depth: int
    heads: int
    hidden: int
    swiglu: bool


SIZES = {
    'small': Size('small', 384, 12, 6, 1536, False),
    'small+': Size('small_plus', 384, 12, 6, 1536, True),
    'base': Size('base', 768, 12, 12, 3072, False),
    'large': Size('large', 1024, 24, 16, 4096, False),
    'huge+': Size('huge_plus', 1280, 32, 20, 5120, True),
}


class Outputs(NamedTuple):
    """Of a network for some images, CLS and patches.

    Attributes:
        tokens: (B, L, 1 + hw, C) normed, of all blocks.
        cls_query: (B, H, D), of the last block.
        keys: (B, H, hw, D), of the last block, before they are rotated.
    """

    tokens: Tensor
    cls_query: Tensor
    keys: Tensor


def official(size: Size, depth: int, satellite: bool = False
             ) -> dict[str, tuple[int, ...]]:
    """Name -> shape, of all that an official file holds.

    The satellite models have a second norm, which is never used.
    """
    width, hidden = size.width, size.hidden
    table: dict[str, tuple[int, ...]] = {
        'cls_token': (1, 1, width), 'storage_tokens': (1, 4, width),
        'mask_token': (1, width), 'patch_embed.proj.weight': (width, 3, 16, 16),
        'patch_embed.proj.bias': (width, ),
        'rope_embed.periods': (width // size.heads // 4, ),
        'norm.weight': (width, ), 'norm.bias': (width, )}
    if satellite:
        table.update({'local_cls_norm.weight': (width, ),
                      'local_cls_norm.bias': (width, )})
    layers = {
        'norm1': (width, ), 'attn.qkv': (3 * width, width),
        'attn.proj': (width, width), 'norm2': (width, ),
        **(dict.fromkeys(('mlp.w1', 'mlp.w2'), (hidden, width)) if size.swiglu else {
            'mlp.fc1': (hidden, width)}),
        'mlp.w3' if size.swiglu else 'mlp.fc2': (width, hidden)}
    for block in (f'blocks.{number}.' for number in range(depth)):
        for name, shape in layers.items():
            table[f'{block}{name}.weight'] = shape
            table[f'{block}{name}.bias'] = shape[:1]
        table[f'{block}attn.qkv.bias_mask'] = (3 * width, )
        table[f'{block}ls1.gamma'] = table[f'{block}ls2.gamma'] = (width, )
    return table


def weights_of(table: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Random weights; every part of them counts in the tokens. Masks and periods are
    those of the releases."""
    generator = torch.Generator().manual_seed(1)
    weights = {}
    for name, shape in table.items():
        if name == 'rope_embed.periods':
            value = (100**(torch.arange(shape[0]) / shape[0])).bfloat16()
        elif name.endswith('bias_mask'):
            value = torch.ones(3, shape[0] // 3)
            value[1] = 0
            value = value.flatten()
        else:
            value = torch.randn(shape, generator=generator)
            if 'norm' in name and name.endswith('weight') or name.endswith('gamma'):
                value = 1 + 0.2 * value
            elif name.endswith('.weight'):
                value /= math.prod(shape[1:])**0.5  # keeps activations of order one
            elif name.endswith('.bias'):
                value *= 0.2
        weights[name] = value
    return weights


def timm_network(size: Size, depth: int, biases: bool = True) -> nn.Module:
    """As it is built, on the default device."""
    return timm.create_model(
        f'vit_{size.timm}_patch16_dinov3' + '_qkvb' * biases, depth=depth,
        dynamic_img_size=True).eval()


def transformers_network(size: Size, depth: int) -> nn.Module:
    """As it is built, on the default device."""
    return transformers.DINOv3ViTModel(transformers.DINOv3ViTConfig(
        hidden_size=size.width, num_hidden_layers=depth,
        num_attention_heads=size.heads, intermediate_size=size.hidden,
        use_gated_mlp=size.swiglu, num_register_tokens=4,
        hidden_act='silu' if size.swiglu else 'gelu',
        attn_implementation='eager')).eval()


def loaded_timm(weights: dict[str, Tensor], size: Size, depth: int) -> nn.Module:
    """With an official file's weights, by timm's own reader of them, which leaves out
    the periods."""
    network = timm_network(size, depth)
    network.load_state_dict(checkpoint_filter_fn(dict(weights), network))
    network.rope.periods.copy_(weights['rope_embed.periods'])
    return network


def randomised(network: nn.Module) -> nn.Module:
    """With weights of a size at which every part shows in the result."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if 'weight' in name and value.ndim > 1:
                value.normal_(std=0.5 / value.shape[-1]**0.5, generator=generator)
            else:
                value.normal_(mean='norm' in name and 'weight' in name, std=0.3,
                              generator=generator)
    return network


@torch.no_grad()
def timm_outputs(network: nn.Module, images: Tensor) -> Outputs:
    """Queries and keys are computed from what goes into the last attention."""
    streams, inputs = [], []
    for block in network.blocks:
        block.register_forward_hook(lambda *args: streams.append(args[-1]))
    attention = network.blocks[-1].attn
    attention.register_forward_pre_hook(lambda module, args: inputs.append(args[0]))
    network.forward_features(images)
    weight_q, weight_k, _ = attention.qkv.weight.chunk(3)
    q = F.linear(inputs[0], weight_q, attention.q_bias)
    k = F.linear(inputs[0], weight_k)
    return _outputs(network.norm, streams, q, k, attention.num_heads)


@torch.no_grad()
def transformers_outputs(network: nn.Module, images: Tensor) -> Outputs:
    """What its layers give."""
    streams, q, k = [], [], []
    layers = [module for module in network.modules()
              if isinstance(module, modeling_dinov3_vit.DINOv3ViTLayer)]
    for layer in layers:
        layer.register_forward_hook(lambda *args: streams.append(args[-1]))
    attention = layers[-1].attention
    attention.q_proj.register_forward_hook(lambda *args: q.append(args[-1]))
    attention.k_proj.register_forward_hook(lambda *args: k.append(args[-1]))
    network(images)
    return _outputs(network.norm, streams, q[0], k[0], attention.num_heads)


def _outputs(norm: nn.Module, streams: list[Tensor], q: Tensor, k: Tensor, heads: int
             ) -> Outputs:
    kept = [0, *range(5, q.shape[1])]
    q, k = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k))
    return Outputs(torch.stack([norm(x)[:, kept] for x in streams], dim=1),
                   q[:, :, 0], k[:, :, 5:])
