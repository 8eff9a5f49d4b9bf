"""Attention over correlation tokens that are never all in memory.

The keys and values of the first block are 1x1 convolutions of the correlation of every
query patch with every support token, by far the largest tensor of the method. Here it
is made for some query patches at a time and made again in the backward pass: memory
does not grow with the product, and what is made stays in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

# Correlations held at once: a few MB on a CPU; on a GPU enough to keep it busy.
CHUNK_ELEMENTS = {'cpu': 2**20, 'cuda': 2**26}


def block_diagonal(x: Tensor) -> Tensor:
    """(P, H, T, D) -> (P, H * T, H * D), head h in the h-th block, else zero.

    Products of all heads are then one matrix product a position: with heads of a few
    channels far faster than H small ones.
    """
    positions, heads, tokens, width = x.shape
    out = x.new_zeros(positions, heads, tokens, heads, width)
    index = torch.arange(heads, device=x.device)
    out[:, index, :, index] = x.transpose(0, 1)
    return out.view(positions, heads * tokens, heads * width)


class _CorrelationAttention(torch.autograd.Function):

    @staticmethod
    def _chunks(query: Tensor, support: Tensor) -> Iterator[slice]:
        channels, positions, _ = query.shape
        size = CHUNK_ELEMENTS.get(query.device.type, 2**26) // (
            channels * support.shape[-1])
        for start in range(0, positions, max(size, 1)):
            yield slice(start, start + max(size, 1))

    @staticmethod
    def _keys_values(query: Tensor, support: Tensor, weight: Tensor,
                     bias: Tensor) -> tuple[Tensor, Tensor]:
        """Correlation (C, p * S), and keys and values (p * S, 2 * H * D)."""
        correlation = (query @ support).flatten(1)
        return correlation, torch.addmm(bias, correlation.t(), weight.t())

    @staticmethod
    def forward(ctx: Any, attending: Tensor, query: Tensor, support: Tensor,
                weight: Tensor, bias: Tensor,
                make_query: Callable[[], Tensor] | None) -> Tensor:
        heads = attending.shape[1]
        parts = []
        for chunk in _CorrelationAttention._chunks(query, support):
            _, kv = _CorrelationAttention._keys_values(
                query[:, chunk], support, weight, bias)
            k, v = kv.view(
                -1, support.shape[-1], 2, heads, attending.shape[-1]).permute(
                    2, 0, 3, 1, 4)
            parts.append(
                F.scaled_dot_product_attention(attending[chunk], k, v, scale=1.))
        out = torch.cat(parts)
        ctx.make_query = make_query
        ctx.save_for_backward(
            attending, None if make_query else query, support, weight, bias, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        attending, query, support, weight, bias, out = ctx.saved_tensors
        if ctx.make_query:
            query = ctx.make_query()
        _, heads, tokens, width = attending.shape
        wants_query, wants_support = ctx.needs_input_grad[1:3]
        grad_attending = torch.empty_like(attending)
        grad_query: Any = torch.empty_like(query) if wants_query else None
        grad_support = torch.zeros_like(support) if wants_support else None
        grad_weight, grad_bias = torch.zeros_like(weight), torch.zeros_like(bias)
        # Softmax's backward subtracts this from the gradient of the probabilities.
        inner = (grad * out).sum(dim=-1).flatten(1).unsqueeze(-1)
        for chunk in _CorrelationAttention._chunks(query, support):
            correlation, kv = _CorrelationAttention._keys_values(
                query[:, chunk], support, weight, bias)
            k, v = kv.view(-1, support.shape[-1], 2 * heads * width).chunk(2, dim=-1)
            q, g = block_diagonal(attending[chunk]), block_diagonal(grad[chunk])
            probabilities = (q @ k.transpose(1, 2)).softmax(dim=-1)
            grad_logits = (g @ v.transpose(1, 2)).sub_(inner[chunk]).mul_(probabilities)
            grad_attending[chunk] = (grad_logits @ k).view(
                -1, heads, tokens, heads, width).diagonal(dim1=1, dim2=3).permute(
                    0, 3, 1, 2)
            grad_kv = torch.cat(
                [grad_logits.transpose(1, 2) @ q, probabilities.transpose(1, 2) @ g],
                dim=-1).flatten(0, 1)
            grad_weight.addmm_(grad_kv.t(), correlation.t())
            grad_bias += grad_kv.sum(dim=0)
            if wants_query or wants_support:
                grad_correlation = (weight.t() @ grad_kv.t()).unflatten(
                    1, (-1, support.shape[-1]))
                if wants_query:
                    grad_query[:, chunk] = grad_correlation @ support.transpose(1, 2)
                if wants_support:
                    grad_support += query[:, chunk].transpose(1, 2) @ grad_correlation
        return grad_attending, grad_query, grad_support, grad_weight, grad_bias, None


def correlation_attention(attending: Tensor, query: Tensor, support: Tensor,
                          weight: Tensor, bias: Tensor,
                          make_query: Callable[[], Tensor] | None = None) -> Tensor:
    """Unscaled softmax attention to keys and values made from a correlation.

    The correlation is c = query @ support, keys and values are weight @ c + bias, over
    its channels. Always in single precision. Differentiable once.

    Args:
        attending: (P, H, T, D), the attention's queries at P query positions.
        query: (C, P, d), normalised query patches by channel (head and block).
        support: (C, d, S), normalised support tokens.
        weight: (2 * H * D, C), keys' rows first, each (head, width).
        bias: (2 * H * D,).
        make_query: makes ``query``, which then gets no gradient, again in the backward
            pass; without it ``query`` is kept.

    Returns:
        Tensor: (P, H, T, D).
    """
    with torch.autocast(query.device.type, enabled=False):
        return _CorrelationAttention.apply(*(
            x.float() for x in (attending, query, support, weight, bias)), make_query)
