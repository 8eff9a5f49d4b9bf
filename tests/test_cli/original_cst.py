"""CST in the order of operations of its paper, under the names of its release.

Sections 3 to 5 of the method step by step: the full correlation, 1x1 convolutions at
full size with the pooling behind them, masked keys filled with -1e9. Its state dict is
that of a released checkpoint. The backbone is timm's ViT, which has DINO's names.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

SUPPORT_SIZE = 12


class PoolSupport(nn.Module):
    """Average pooling of the support grid in (B, C, Q, 1 + s*s); CLS stays."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(kernel, stride=kernel)

    def forward(self, x: Tensor) -> Tensor:
        side = round((x.shape[-1] - 1) ** 0.5)
        batch, channels, queries, _ = x.shape
        grid = x[..., 1:].reshape(batch * channels, queries, side, side)
        pooled = self.pool(grid).reshape(batch, channels, queries, -1)
        return torch.cat([x[..., :1], pooled], dim=-1)


class Attention(nn.Module):
    def __init__(self, channels: int, out: int, kernel: int) -> None:
        super().__init__()
        hidden = out // 2
        self.pool = PoolSupport(kernel)
        self.qkv = nn.Conv2d(channels, 3 * hidden, 1)
        self.short_cut = nn.Sequential(
            nn.Conv2d(channels, out, 1, bias=False), PoolSupport(kernel),
            nn.GroupNorm(4, out), nn.ReLU())
        self.agg = nn.Sequential(
            nn.GroupNorm(4, hidden), nn.ReLU(), nn.Conv2d(hidden, out, 1, bias=False),
            nn.GroupNorm(4, out), nn.ReLU())
        self.out_norm = nn.GroupNorm(4, out)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        side = round((x.shape[-1] - 1) ** 0.5)
        small = F.interpolate(mask, (side, side), mode='bilinear', align_corners=True)
        dropped = torch.cat([torch.zeros(len(x), 1), small.flatten(1) == 0], 1).bool()
        q, k, v = self.qkv(x).chunk(3, dim=1)
        heads = []
        for q, k, v in zip(*(  # noqa: B020
                part.chunk(8, dim=1) for part in (self.pool(q), k, v))):
            logits = torch.einsum('bcqt,bcqs->bqts', q, k)
            logits = logits.masked_fill(dropped[:, None, None], -1e9)
            heads.append(torch.einsum('bqts,bcqs->bcqt', logits.softmax(-1), v))
        return self.out_norm(self.agg(torch.cat(heads, 1)) + self.short_cut(x))


class FeedForward(nn.Module):
    def __init__(self, out: int) -> None:
        super().__init__()
        self.ff = nn.Sequential(
            nn.Conv2d(out, out // 2, 1, bias=False), nn.GroupNorm(4, out // 2),
            nn.ReLU(), nn.Conv2d(out // 2, out, 1, bias=False))
        self.out_norm = nn.GroupNorm(4, out)

    def forward(self, x: Tensor) -> Tensor:
        return self.out_norm(x + self.ff(x))


class Block(nn.Module):
    def __init__(self, channels: int, out: int, kernel: int) -> None:
        super().__init__()
        self.attn = Attention(channels, out, kernel)
        self.ff = FeedForward(out)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.ff(self.attn(x, mask))


class Learner(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.corrtransformer = nn.ModuleList(
            [Block(channels, 32, 4), Block(32, 128, 3)])
        self.linear = nn.Sequential(
            nn.Conv2d(128, 128, 1), nn.GroupNorm(4, 128), nn.ReLU(),
            nn.Conv2d(128, 128, 1), nn.GroupNorm(4, 128), nn.ReLU())
        for task, kernel in (('cls', 1), ('seg', 3)):
            conv = [nn.Conv2d(channels, out, kernel, padding=kernel // 2)
                    for channels, out in ((128, 128), (128, 64), (64, 64), (64, 2))]
            self.add_module(f'decoder1_{task}', nn.Sequential(
                conv[0], nn.ReLU(), conv[1], nn.ReLU()))
            self.add_module(f'decoder2_{task}', nn.Sequential(
                conv[2], nn.ReLU(), conv[3]))

    def forward(self, correlation: Tensor, mask: Tensor, grid: tuple[int, int],
                size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        x = correlation
        for block in self.corrtransformer:
            x = block(x, mask)
        x = self.linear(x)
        cls, seg = (x[..., i].unflatten(2, grid) for i in (0, 1))
        cls = F.avg_pool2d(
            self.decoder1_cls(cls), 3, stride=2, padding=1, count_include_pad=True)
        cls = self.decoder2_cls(cls).mean((2, 3))
        seg = F.interpolate(
            self.decoder1_seg(seg), scale_factor=2, mode='bilinear', align_corners=True)
        seg = F.interpolate(
            self.decoder2_seg(seg), size, mode='bilinear', align_corners=True)
        return cls, seg


class OriginalCST(nn.Module):
    """``OriginalCST(...).state_dict()`` is a released checkpoint's, random.

    Args:
        width, depth, heads: of the ViT; the defaults are ViT-S/8's.
        img_size: side of its grid of position embeddings, in pixels.
    """

    def __init__(self, width: int = 384, depth: int = 12, heads: int = 6,
                 img_size: int = 224, patch: int = 8) -> None:
        super().__init__()
        self.heads, self.patch = heads, patch
        self.backbone = VisionTransformer(
            img_size=img_size, patch_size=patch, embed_dim=width, depth=depth,
            num_heads=heads, num_classes=0)
        self.learner = Learner(heads * depth)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                noise = torch.randn(parameter.shape, generator=generator)
                if parameter.ndim == 1:
                    norm = name.endswith('weight')  # scales about 1, shifts about 0
                    parameter.copy_(0.3 * noise + norm)
                elif name.startswith('learner.'):
                    parameter.copy_(noise * (2 / parameter[0].numel()) ** 0.5)
                else:
                    parameter.copy_(noise * parameter[0].numel() ** -0.5)
        self.eval()

    def tokens(self, images: Tensor) -> Tensor:
        """Normed tokens of every block, (L, B, 1 + hw, C)."""
        vit = self.backbone
        x = vit.patch_embed.proj(images)
        height, width = x.shape[-2:]
        patches = vit.pos_embed[:, 1:].transpose(1, 2)
        side = round(patches.shape[-1] ** 0.5)
        if (height, width) != (side, side):
            patches = F.interpolate(
                patches.unflatten(2, (side, side)), mode='bicubic',
                scale_factor=((height + 0.1) / side, (width + 0.1) / side)).flatten(2)
        x = (x.flatten(2) + patches).transpose(1, 2)
        cls = (vit.cls_token + vit.pos_embed[:, :1]).expand(len(x), -1, -1)
        x = torch.cat([cls, x], dim=1)
        blocks = []
        for block in vit.blocks:
            x = block(x)
            blocks.append(vit.norm(x))
        return torch.stack(blocks)

    def forward(self, query: Tensor, support: Tensor,
                mask: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, 2) and (B, 2, H, W).

        Args:
            query, support: (B, 3, H, W), normalised.
            mask: (B, H, W), of the supports.
        """
        height, width = query.shape[-2:]
        grid = height // self.patch, width // self.patch
        query = self.tokens(query)[:, :, 1:]
        support = self.tokens(support)
        resized = []
        for block in support:  # (B, 1 + hw, C)
            patches = block[:, 1:].transpose(1, 2).unflatten(2, grid)
            patches = F.interpolate(
                patches, (SUPPORT_SIZE, SUPPORT_SIZE), mode='bilinear',
                align_corners=True)
            resized.append(
                torch.cat([block[:, :1], patches.flatten(2).transpose(1, 2)], 1))
        channels = []
        for head in range(self.heads):
            for q, s in zip(query, resized):
                q, s = (x.chunk(self.heads, dim=-1)[head] for x in (q, s))
                q, s = (x / x.norm(dim=-1, keepdim=True) for x in (q, s))
                channels.append(q @ s.transpose(1, 2))
        return self.learner(
            torch.stack(channels, 1), mask[:, None], grid, (height, width))
