from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmwsfs.registry import MODELS
from mmwsfs.structures import ViTFeatures


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


class CorrelationBlock(nn.Module):
    """One block: attention over the support axis, at every query position.

    The input comes twice, full and pooled over the support grid: the pooled one is
    all that the attention's queries and the shortcut read, since average pooling
    commutes with 1x1 convolutions. A caller that has the pooled tokens more cheaply
    than by pooling passes them.

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

    def _attend(self, full: Tensor, pooled: Tensor) -> Tensor:
        """Unscaled softmax attention of pooled tokens (T) to full ones (S)."""
        weight, bias = self.qkv.weight, self.qkv.bias
        q = F.conv2d(pooled, weight[:self.hidden], bias[:self.hidden])
        kv = F.conv2d(full, weight[self.hidden:], bias[self.hidden:])
        q = q.unflatten(1, (self.num_heads, -1))
        k, v = kv.unflatten(1, (2, self.num_heads, -1)).unbind(1)
        # (B, heads, Q, T or S, D): one small attention for every query position.
        q, k, v = (x.permute(0, 1, 3, 4, 2) for x in (q, k, v))
        out = (q @ k.transpose(-1, -2)).softmax(dim=-1) @ v
        return out.permute(0, 1, 4, 2, 3).flatten(1, 2)

    def forward(self, full: Tensor, pooled: Tensor) -> Tensor:
        """
        Args:
            full: (B, C, Q, S), the support tokens that are attended to.
            pooled: (B, C, Q, T), all support tokens pooled over their grid.

        Returns:
            Tensor: (B, O, Q, T).
        """
        y = self.attention_norm(
            self.aggregate(self._attend(full, pooled)) + self.shortcut(pooled))
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
        init_cfg (dict, optional): Defaults to None.
    """

    def __init__(self,
                 num_layers: int = 12,
                 num_heads: int = 6,
                 support_size: int = 12,
                 channels: Sequence[int] = (32, 128),
                 kernels: Sequence[int] = (4, 3),
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
        self.blocks = nn.ModuleList()
        for out_channels, kernel in zip(channels, kernels):
            self.blocks.append(CorrelationBlock(in_channels, out_channels, kernel))
            in_channels = out_channels
        self.project = nn.Sequential(*(
            layer for _ in range(2) for layer in (
                nn.Conv2d(in_channels, in_channels, 1),
                nn.GroupNorm(4, in_channels), nn.ReLU())))

    def _split_heads(self, tokens: Tensor) -> Tensor:
        """(L, T, C) -> (H * L, T, D), L2-normalised per head."""
        heads = tokens.unflatten(-1, (self.num_heads, -1)).permute(2, 0, 1, 3)
        return F.normalize(heads.flatten(0, 1), dim=-1)

    def _resize_support(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Patches to s x s (bilinear), CLS first: (L, 1 + hw, C) -> (L, 1 + s*s, C)."""
        patches = F.interpolate(
            tokens[:, 1:].transpose(1, 2).unflatten(-1, grid),
            (self.support_size, self.support_size), mode='bilinear',
            align_corners=True)
        return torch.cat([tokens[:, :1], patches.flatten(2).transpose(1, 2)], dim=1)

    def correlate(self, query: Tensor, support: Tensor,
                  keep: Tensor) -> tuple[Tensor, Tensor]:
        """Correlation tokens: those attended to, and all, pooled for the first block.

        Only the kept support tokens are correlated. The pooled correlation is that
        with the pooled *normalised* support, so one batched product gives both.

        Args:
            query: (L, hw, C), patches.
            support: (L, 1 + s*s, C), CLS and patches.
            keep: (1 + s*s,) bool, with S true.

        Returns:
            tuple: (H*L, hw, S) and (H*L, hw, 1 + (s/kernel)^2); channel =
            head * L + block.
        """
        support = self._split_heads(support).transpose(-1, -2)
        kept = support[..., keep]
        pooled = pool_support(support, self.blocks[0].kernel)
        correlation = self._split_heads(query) @ torch.cat([kept, pooled], dim=-1)
        return correlation.split([kept.shape[-1], pooled.shape[-1]], dim=-1)

    def _reduce(self, query: Tensor, support: Tensor,
                keeps: Sequence[Tensor]) -> Tensor:
        """One pair through the blocks: (1, channels[-1], hw, 2)."""
        full, pooled = (
            x.unsqueeze(0) for x in self.correlate(query, support, keeps[0]))
        for index, block in enumerate(self.blocks):
            if index:
                full = pooled[..., keeps[index]]
                pooled = pool_support(pooled, block.kernel)
            pooled = block(full, pooled)
        return self.project(pooled)

    def forward(self, query: ViTFeatures, support: ViTFeatures,
                support_mask: Tensor) -> tuple[Tensor, Tensor]:
        """
        Pairs are taken one at a time: each keeps other support tokens, and one pair's
        correlation is as much as memory should hold at once.

        Args:
            query, support: features of B images each.
            support_mask: (B, H, W), 0 outside the support object.

        Returns:
            tuple[Tensor, Tensor]: classification and segmentation token maps,
            (B, channels[-1], h, w) each, over the query's grid.
        """
        sides = [self.support_size]
        for block in self.blocks[:-1]:
            sides.append(sides[-1] // block.kernel)
        keeps = zip(*(kept_keys(support_mask, side) for side in sides))
        maps = torch.cat([
            self._reduce(q[:, 1:].float(),
                         self._resize_support(s.float(), support.grid), keep)
            for q, s, keep in zip(query.tokens, support.tokens, keeps)])
        maps = maps.unflatten(2, query.grid)
        return maps[..., 0], maps[..., 1]
