from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmwsfs.models.running_moments import RunningMoments
from mmwsfs.registry import MODELS
from mmwsfs.structures import TokenGrid, ViTFeatures

from .correlation_attention import correlation_attention

ATTENTION_HEADS = 8  # of every block, as in the paper
NUM_GROUPS = 4  # of every GroupNorm


def pool_support(x: Tensor, kernel: int) -> Tensor:
    """Average the support grid of (..., 1 + s*s) over kernel x kernel; CLS stays.

    Returns (..., 1 + (s / kernel)^2).
    """
    side = round((x.shape[-1] - 1) ** 0.5)
    cells = side // kernel
    grid = x[..., 1:].unflatten(-1, (cells, kernel, cells, kernel))
    return torch.cat([x[..., :1], grid.mean(dim=(-3, -1)).flatten(-2)], dim=-1)


def kept_keys(support_mask: Tensor, side: int) -> Tensor:
    """Which support tokens may be attended to (section 3.2 of the paper).

    Args:
        support_mask: (B, H, W), 0 outside the object.
        side: the support grid is side x side.

    Returns:
        Tensor: (B, 1 + side*side) bool. CLS is always kept; a patch is masked out
        where the bilinearly resized mask is exactly 0.
    """
    mask = F.interpolate(
        support_mask.float().unsqueeze(1), (side, side), mode='bilinear',
        align_corners=True).flatten(1)
    return F.pad(mask != 0, (1, 0), value=True)


def resize_support(support: TokenGrid | ViTFeatures, side: int) -> TokenGrid:
    """Patches of B images to side x side (bilinear), single precision; CLS stays.

    Block by block: whose patches can be resized as they lie in memory.
    """
    if support.grid == (side, side):
        return TokenGrid(support.tokens.float(), support.grid)
    resized = torch.stack([torch.cat([
        F.interpolate(
            layer[None].float().transpose(1, 2).unflatten(-1, support.grid),
            (side, side), mode='bilinear', align_corners=True)
        for layer in tokens[:, 1:]]) for tokens in support.tokens])
    return TokenGrid(torch.cat([
        support.tokens[:, :, :1].float(), resized.flatten(3).transpose(2, 3)], dim=2),
        (side, side))


class CorrelationBlock(nn.Module):
    """One block: attention over the support axis, at every query position.

    The attention's queries and the shortcut read the input pooled over the support
    grid, since average pooling commutes with 1x1 convolutions; only its keys and
    values read all of it.

    Args:
        in_channels: C.
        out_channels: O; the attention is O / 2 wide.
        kernel: side of the pooling window; the support grid shrinks by it.
    """

    qkv: Any  # an nn.Conv2d whose bias is there

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        hidden = out_channels // 2
        self.kernel = kernel
        self.hidden = hidden
        self.qkv = nn.Conv2d(in_channels, 3 * hidden, 1)
        self.aggregate = nn.Sequential(
            nn.GroupNorm(NUM_GROUPS, hidden), nn.ReLU(),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.GroupNorm(NUM_GROUPS, out_channels), nn.ReLU())
        self.shortcut = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
            nn.GroupNorm(NUM_GROUPS, out_channels), nn.ReLU())
        self.attention_norm = nn.GroupNorm(NUM_GROUPS, out_channels)
        self.ffn = nn.Sequential(
            nn.Conv2d(out_channels, hidden, 1, bias=False),
            nn.GroupNorm(NUM_GROUPS, hidden), nn.ReLU(),
            nn.Conv2d(hidden, out_channels, 1, bias=False))
        self.ffn_norm = nn.GroupNorm(NUM_GROUPS, out_channels)

    def _attending(self, pooled: Tensor) -> Tensor:
        """The attention's queries, (1, C, P, T) -> (P, heads, T, D)."""
        q = F.conv2d(
            pooled, self.qkv.weight[:self.hidden], self.qkv.bias[:self.hidden])
        # Contiguous: fused attention asks for it.
        return q[0].unflatten(0, (ATTENTION_HEADS, -1)).permute(2, 0, 3, 1).contiguous()

    def attend_product(self, pooled: Tensor, query: Tensor, support: Tensor,
                       make_query: Callable[[], Tensor] | None,
                       moments: tuple[Tensor, Tensor] | None) -> Tensor:
        """Attention to the product of ``query``, (C, P, d), and ``support``, (C, d, S).

        Given ``moments``, a mean and a deviation for every channel, (C,), it is to the
        standardised product, which is never made: the weights are changed instead.

        Returns:
            Tensor: (1, O / 2, P, T).
        """
        weight = self.qkv.weight[self.hidden:].flatten(1)
        bias = self.qkv.bias[self.hidden:]
        if moments is not None:
            mean, deviation = moments
            weight = weight / deviation
            bias = bias - (weight * mean).sum(dim=1)
        out = correlation_attention(
            self._attending(pooled), query, support, weight, bias, make_query)
        return out.permute(1, 3, 0, 2).flatten(0, 1).unsqueeze(0)

    def attend(self, pooled: Tensor, full: Tensor) -> Tensor:
        """Attention to ``full``, (1, C, P, S): (1, O / 2, P, T)."""
        kv = F.linear(
            full[0].permute(1, 2, 0), self.qkv.weight[self.hidden:].flatten(1),
            self.qkv.bias[self.hidden:])
        k, v = kv.unflatten(-1, (2, ATTENTION_HEADS, -1)).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(self._attending(pooled), k, v, scale=1.)
        return out.permute(1, 3, 0, 2).flatten(0, 1).unsqueeze(0)

    def forward(self, pooled: Tensor, attended: Tensor) -> Tensor:
        """
        Args:
            pooled: (1, C, P, T), all support tokens pooled over their grid.
            attended: (1, O / 2, P, T), what the attention gives for them.

        Returns:
            Tensor: (1, O, P, T).
        """
        y = self.attention_norm(self.aggregate(attended) + self.shortcut(pooled))
        return self.ffn_norm(y + self.ffn(y))


@MODELS.register_module()
class CorrelationTransformer(BaseModule):
    """Correlation transformer of CST (section 3.2 of the paper).

    Every query patch is correlated with the support's CLS and patches, per block and
    head of the backbone; two blocks of attention over the support axis reduce the
    1 + s*s support tokens to two: a classification and a segmentation token.

    EMAT's (arXiv 2507.23642) is the same with a support of 20 x 20, ``kernels=(5, 4)``.

    Args:
        num_layers (int): blocks of the backbone, L.
        num_heads (int): heads of the backbone, H.
        channels (Sequence[int]): output channels of the blocks. Defaults to (32, 128).
        kernels (Sequence[int]): pooling of the blocks; their product is s, the side of
            the grid that the support patches are resized to. Defaults to (4, 3).
        standardise (bool): bring every channel of the correlation (block and head of
            the backbone) to mean 0 and deviation 1 first, as they are on average over
            the training pairs; our addition. Channels differ far more from each other
            than within an image, and the GroupNorms, which take several together, leave
            little of the latter: training starts slowly. It costs nothing. Mean and
            variance are buffers and do not change in testing. Defaults to False.
        init_cfg (dict, optional): Defaults to None.
    """

    blocks: Any  # an nn.ModuleList of CorrelationBlock

    def __init__(self,
                 num_layers: int,
                 num_heads: int,
                 channels: Sequence[int] = (32, 128),
                 kernels: Sequence[int] = (4, 3),
                 standardise: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if len(channels) != len(kernels):
            raise ValueError(
                f'channels {tuple(channels)} and kernels {tuple(kernels)} must be of '
                'as many blocks')
        self.num_heads = num_heads
        self.support_size = math.prod(kernels)
        self.out_channels = channels[-1]
        in_channels = num_layers * num_heads
        self.moments = RunningMoments(in_channels) if standardise else None
        self.blocks = nn.ModuleList()
        for out_channels, kernel in zip(channels, kernels):
            self.blocks.append(CorrelationBlock(in_channels, out_channels, kernel))
            in_channels = out_channels
        self.project = nn.Sequential(*(
            layer for _ in range(2) for layer in (
                nn.Conv2d(in_channels, in_channels, 1),
                nn.GroupNorm(NUM_GROUPS, in_channels), nn.ReLU())))

    def _split_heads(self, tokens: Tensor) -> Tensor:
        """(L, T, C) -> (H * L, T, D), L2-normalised per head, single precision."""
        heads = tokens.unflatten(-1, (self.num_heads, -1)).permute(2, 0, 1, 3)
        # Reordered and made single in one go, then divided where they are.
        heads = heads.new_empty(heads.shape, dtype=torch.float).copy_(heads)
        out = None if heads.requires_grad else heads
        return F.normalize(heads, dim=-1, out=out).flatten(0, 1)

    def _reduce(self, query: Tensor, support: Tensor, keeps: Sequence[Tensor],
                make_query: Callable[[], Tensor] | None) -> Tensor:
        """One pair through the blocks.

        Only the kept support tokens are correlated. The pooled correlation is that
        with the pooled *normalised* support.

        Args:
            query: (H * L, hw, D), normalised patches.
            support: (L, 1 + s*s, C), CLS and patches.
            keeps: of every block, which of its support tokens may be attended to.
            make_query: makes ``query`` again in the backward pass, if it is not kept.

        Returns:
            Tensor: (1, channels[-1], hw, 2).
        """
        support = self._split_heads(support).transpose(-1, -2)
        first, *others = self.blocks
        pooled = (query @ pool_support(support, first.kernel)).unsqueeze(0)
        moments = None
        if self.moments is not None:
            if self.training:
                self.moments.note(pooled[0, :, :, 1:])
            moments = self.moments.mean_and_deviation()
            mean, deviation = (x[:, None, None] for x in moments)
            pooled = (pooled - mean) / deviation
        x = first(pooled, first.attend_product(
            pooled, query, support[..., keeps[0]], make_query, moments))
        for block, keep in zip(others, keeps[1:]):
            pooled = pool_support(x, block.kernel)
            x = block(pooled, block.attend(pooled, x[..., keep]))
        return self.project(x)

    def forward(self, query: TokenGrid | ViTFeatures, support: TokenGrid | ViTFeatures,
                support_mask: Tensor, query_of: Sequence[int] | None = None
                ) -> tuple[Tensor, Tensor]:
        """
        Pairs are taken one at a time: each keeps other support tokens, and one pair's
        correlation is as much as memory should hold at once. A query is prepared once
        for supports that follow each other.

        Args:
            query: of Q images.
            support: of P images, of any grid: it is resized to s x s.
            support_mask: (P, H, W), 0 outside the support object.
            query_of: of every support the number of its query, in 0..Q-1. None: each
                query has P / Q supports in a row.

        Returns:
            tuple[Tensor, Tensor]: classification and segmentation token maps,
            (P, channels[-1], h, w) each, over the query's grid.
        """
        if query_of is None:
            shots = len(support) // len(query)
            query_of = [number // shots for number in range(len(support))]
        sides = [self.support_size]
        for block in self.blocks[:-1]:
            sides.append(sides[-1] // block.kernel)
        keeps = list(zip(*(kept_keys(support_mask, side) for side in sides)))
        maps = []
        last = None
        support = resize_support(support, self.support_size)
        for number, tokens, keep in zip(query_of, support.tokens, keeps):
            if number != last:
                patches, last = query.tokens[number, :, 1:], number
                heads = self._split_heads(patches)
                # Patches live as long as their batch, where they need no gradient.
                make_query = (None if patches.requires_grad
                              else partial(self._split_heads, patches))
            maps.append(self._reduce(heads, tokens, keep, make_query))
        if self.training and self.moments is not None:
            self.moments.learn()
        token_maps = torch.cat(maps).unflatten(2, query.grid)
        return token_maps[..., 0], token_maps[..., 1]
