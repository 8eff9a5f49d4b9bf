from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmwsfs.registry import MODELS
from mmwsfs.structures import ViTFeatures

from .correlation_attention import correlation_attention
from .prototype_maps import PrototypeMaps
from .running_moments import RunningMoments


def pool_support(x: Tensor, kernel: int) -> Tensor:
    """Average the support grid of (..., 1 + s*s) over kernel x kernel; CLS stays.

    Returns (..., 1 + (s / kernel)^2).
    """
    side = round((x.shape[-1] - 1) ** 0.5)
    cells = side // kernel
    grid = x[..., 1:].unflatten(-1, (cells, kernel, cells, kernel))
    return torch.cat([x[..., :1], grid.mean(dim=(-3, -1)).flatten(-2)], dim=-1)


def equal_runs(tokens: Tensor) -> list[tuple[int, int]]:
    """Runs of equal images in a batch, (B, L, T, C): (first, last + 1) of each.

    In paired training a query follows itself: it is prepared once for both supports.
    """
    starts = [0] + [
        row for row in range(1, len(tokens))
        if not (torch.equal(tokens[row, :, 0], tokens[row - 1, :, 0])  # CLS is quick
                and torch.equal(tokens[row], tokens[row - 1]))]
    return list(zip(starts, [*starts[1:], len(tokens)]))


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


class CorrelationBlock(nn.Module):
    """One block: attention over the support axis, at every query position.

    The attention's queries and the shortcut read the input pooled over the support
    grid, since average pooling commutes with 1x1 convolutions; only its keys and
    values read all of it.

    Args:
        in_channels: C.
        out_channels: O; the attention is O / 2 wide.
        kernel: side of the pooling window; the support grid shrinks by it.
        num_heads: heads of the attention.
        num_groups: groups of every GroupNorm.
    """

    def __init__(self,
                 in_channels: int,
                 out_channels: int,
                 kernel: int,
                 num_heads: int = 8,
                 num_groups: int = 4) -> None:
        super().__init__()
        hidden = out_channels // 2
        self.kernel = kernel
        self.hidden = hidden
        self.num_heads = num_heads
        self.qkv = nn.Conv2d(in_channels, 3 * hidden, 1)
        self.aggregate = nn.Sequential(
            nn.GroupNorm(num_groups, hidden), nn.ReLU(),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.GroupNorm(num_groups, out_channels), nn.ReLU())
        self.shortcut = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
            nn.GroupNorm(num_groups, out_channels), nn.ReLU())
        self.attention_norm = nn.GroupNorm(num_groups, out_channels)
        self.ffn = nn.Sequential(
            nn.Conv2d(out_channels, hidden, 1, bias=False),
            nn.GroupNorm(num_groups, hidden), nn.ReLU(),
            nn.Conv2d(hidden, out_channels, 1, bias=False))
        self.ffn_norm = nn.GroupNorm(num_groups, out_channels)

    def _attending(self, pooled: Tensor) -> Tensor:
        """The attention's queries, (1, C, P, T) -> (P, heads, T, D)."""
        q = F.conv2d(
            pooled, self.qkv.weight[:self.hidden], self.qkv.bias[:self.hidden])
        # Contiguous: fused attention asks for it.
        return q[0].unflatten(0, (self.num_heads, -1)).permute(2, 0, 3, 1).contiguous()

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
        k, v = kv.unflatten(-1, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
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

    Args:
        num_layers (int): blocks of the backbone, L. Defaults to 12.
        num_heads (int): heads of the backbone, H. Defaults to 6.
        support_size (int): s, side of the grid the support patches are resized to;
            the product of ``kernels``. Defaults to 12.
        channels (Sequence[int]): output channels of the blocks. Defaults to (32, 128).
        kernels (Sequence[int]): pooling of the blocks. Defaults to (4, 3).
        standardise (bool): bring every channel of the correlation (block and head of
            the backbone) to mean 0 and deviation 1 first, as they are on average over
            the training pairs; our addition. Channels differ far more from each other
            than within an image, and the GroupNorms, which take several together, leave
            little of the latter: training starts slowly. It costs nothing. Mean and
            variance are buffers and do not change in testing. Defaults to False.
        metric (dict, optional): brings query and support tokens into another space
            first, a :class:`DiscriminantMetric`; our addition. Defaults to None.
        prototypes (bool): append :class:`PrototypeMaps` to both token maps, 2 * L
            channels which the heads' ``in_channels`` have to count; our addition.
            Defaults to False.
        init_cfg (dict, optional): Defaults to None.
    """

    def __init__(self,
                 num_layers: int = 12,
                 num_heads: int = 6,
                 support_size: int = 12,
                 channels: Sequence[int] = (32, 128),
                 kernels: Sequence[int] = (4, 3),
                 standardise: bool = False,
                 metric: dict | None = None,
                 prototypes: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        size = 1
        for kernel in kernels:
            size *= kernel
        if size != support_size or len(channels) != len(kernels):
            raise ValueError(
                f'kernels {tuple(kernels)} must multiply to support_size '
                f'{support_size} and be as many as channels {tuple(channels)}')
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.support_size = support_size
        in_channels = num_layers * num_heads
        self.moments = RunningMoments(in_channels) if standardise else None
        self.metric = MODELS.build(metric) if metric else None
        self.prototypes = PrototypeMaps(num_layers) if prototypes else None
        self.blocks = nn.ModuleList()
        for out_channels, kernel in zip(channels, kernels):
            self.blocks.append(CorrelationBlock(in_channels, out_channels, kernel))
            in_channels = out_channels
        self.project = nn.Sequential(*(
            layer for _ in range(2) for layer in (
                nn.Conv2d(in_channels, in_channels, 1),
                nn.GroupNorm(4, in_channels), nn.ReLU())))

    def _split_heads(self, tokens: Tensor) -> Tensor:
        """(L, T, C) -> (H * L, T, D), L2-normalised per head, single precision."""
        heads = tokens.unflatten(-1, (self.num_heads, -1)).permute(2, 0, 1, 3)
        # Reordered and made single in one go, then divided where they are.
        heads = heads.new_empty(heads.shape, dtype=torch.float).copy_(heads)
        out = None if heads.requires_grad else heads
        return F.normalize(heads, dim=-1, out=out).flatten(0, 1)

    def _resize_support(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Patches to s x s (bilinear), CLS first: (L, 1 + hw, C) -> (L, 1 + s*s, C).

        Block by block: whose patches can be resized as they lie in memory.
        """
        patches = torch.cat([
            F.interpolate(
                layer[None].float().transpose(1, 2).unflatten(-1, grid),
                (self.support_size, self.support_size), mode='bilinear',
                align_corners=True) for layer in tokens[:, 1:]])
        return torch.cat(
            [tokens[:, :1].float(), patches.flatten(2).transpose(1, 2)], dim=1)

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

    def _append_prototypes(self, maps: Tensor, tokens: Tensor, support: ViTFeatures,
                           mask: Tensor) -> Tensor:
        """Put the prototypes' maps below one pair's, (1, C, hw, 2).

        Args:
            tokens: the query's patches, (L, hw, C), as the metric gives them.
            support: features of one image.
            mask: (H, W), 0 outside the support object.
        """
        means = self.prototypes.prototypes(
            support.tokens[0, :, 1:], mask, support.grid)
        if self.metric is not None:
            means = self.metric.patches(means)
        found = self.prototypes(tokens, means)[None, :, :, None]
        return torch.cat([maps, found.to(maps.dtype).expand(-1, -1, -1, 2)], dim=1)

    def _reduce_query(self, tokens: Tensor, support: ViTFeatures, masks: Tensor,
                      keeps: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """One query, patches (L, hw, C), with each of its supports."""
        if self.metric is not None:
            tokens = self.metric.patches(tokens)
        query = self._split_heads(tokens)
        # These tokens live as long as their batch does, where they need no gradient.
        make_query = (
            None if tokens.requires_grad else partial(self._split_heads, tokens))
        maps = []
        for number, keep in zip(range(len(support)), keeps):
            own = self._resize_support(support.tokens[number], support.grid)
            if self.metric is not None:
                own = self.metric(own)
            pair = self._reduce(query, own, keep, make_query)
            if self.prototypes is not None:
                pair = self._append_prototypes(
                    pair, tokens, support[number:number + 1], masks[number])
            maps.append(pair)
        return maps

    def forward(self, query: ViTFeatures, support: ViTFeatures,
                support_mask: Tensor) -> tuple[Tensor, Tensor]:
        """
        Pairs are taken one at a time: each keeps other support tokens, and one pair's
        correlation is as much as memory should hold at once.

        Args:
            query: features of B images.
            support: features of B * M images, the M supports of each query in a row.
            support_mask: (B * M, H, W), 0 outside the support object.

        Returns:
            tuple[Tensor, Tensor]: classification and segmentation token maps,
            (B * M, channels[-1], h, w) each, over the query's grid; with
            ``prototypes`` of 2 * L more channels.
        """
        sides = [self.support_size]
        for block in self.blocks[:-1]:
            sides.append(sides[-1] // block.kernel)
        keeps = list(zip(*(kept_keys(support_mask, side) for side in sides)))
        own = len(support) // len(query)
        maps = torch.cat([
            pair for row, end in equal_runs(query.tokens)
            for pair in self._reduce_query(
                query.tokens[row, :, 1:], support[row * own:end * own],
                support_mask[row * own:end * own], keeps[row * own:end * own])])
        if self.training:
            for moments in (self.moments, self.prototypes and self.prototypes.moments):
                if moments is not None:
                    moments.learn()
        maps = maps.unflatten(2, query.grid)
        return maps[..., 0], maps[..., 1]
