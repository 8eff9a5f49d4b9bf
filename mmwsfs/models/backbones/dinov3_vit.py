from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmwsfs.registry import MODELS
from mmwsfs.structures import ViTFeatures

from .dino_checkpoint import read_vit
from .feature_backbone import FeatureBackbone
from .frozen_dtype import set_dtype
from .patch_grid import patch_grid
from .rotary_position import RotaryPosition, rotate
from .vit_description import check_vit

# Width, blocks, heads, hidden width of the FFN, whether it is a SwiGLU.
SIZES = (
    'embed_dims', 'num_layers', 'num_heads', 'feedforward_channels', 'swiglu')
ARCHS = {
    'small': (384, 12, 6, 1536, False),
    'small+': (384, 12, 6, 1536, True),
    'base': (768, 12, 12, 3072, False),
    'large': (1024, 24, 16, 4096, False),
    'huge+': (1280, 32, 20, 5120, True),
}
REGISTERS = 4
EPS = 1e-5


class _Attention(nn.Module):
    """Multi-head attention whose keys have no bias."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def bias(self) -> Tensor:
        """Of queries, keys (0) and values, (3C,)."""
        q, _, v = self.qkv.bias.chunk(3)
        return torch.cat([q, torch.zeros_like(q), v])

    def forward(self, x: Tensor, angles: tuple[Tensor, Tensor]
                ) -> tuple[Tensor, Tensor, Tensor]:
        """What is added to (B, T, C), and queries and keys, (B, H, T, D), unrotated."""
        q, k, v = F.linear(x, self.qkv.weight, self.bias()).unflatten(
            -1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(rotate(q, angles), rotate(k, angles), v)
        return self.proj(out.transpose(1, 2).flatten(2)), q, k


class _FFN(nn.Module):

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class _SwiGLU(nn.Module):

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.w12 = nn.Linear(width, 2 * hidden)
        self.w3 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.w12(x).chunk(2, dim=-1)
        return self.w3(F.silu(gate) * value)


class _LayerScale(nn.Module):

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width, ), 1e-5))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class _Block(nn.Module):

    def __init__(self, width: int, heads: int, ffn: nn.Module) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, EPS)
        self.attn = _Attention(width, heads)
        self.ls1 = _LayerScale(width)
        self.norm2 = nn.LayerNorm(width, EPS)
        self.mlp = ffn
        self.ls2 = _LayerScale(width)

    def forward(self, x: Tensor, angles: tuple[Tensor, Tensor]
                ) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, C) -> the same, and the attention's queries and keys."""
        attended, q, k = self.attn(self.norm1(x), angles)
        x = x + self.ls1(attended)
        return x + self.ls2(self.mlp(self.norm2(x))), q, k


@MODELS.register_module()
class DINOv3VisionTransformer(FeatureBackbone):
    """A ViT pretrained with DINOv3 (arXiv 2508.10104), or of its architecture, such as
    LingBot-Vision's; frozen by default.

    Patches know their place by rotated queries and keys (:class:`.RotaryPosition`), at
    any image size; keys have no bias; four register ("storage") tokens take part in
    attention, and nothing that the backbone returns contains them.

    Parameters have the authors' names (:mod:`.vit_names`), with a SwiGLU's first two
    matrices as one. ``configs/wsfs/BACKBONES.md`` lists the released models.

    Args:
        arch (str | dict): 'small', 'small+', 'base', 'large' or 'huge+'; or a dict of
            ``embed_dims``, ``num_layers``, ``num_heads``, ``feedforward_channels`` and
            ``swiglu``. Defaults to 'small'.
        patch_size (int): side of a patch in pixels. Defaults to 16.
        out_indices (Sequence[int]): blocks whose maps :meth:`forward` returns.
            Defaults to (-1, ), the last.
        rotated_keys (bool): whether the keys in ``extract`` are those that
            attention compares, or those before they are rotated, which tell less of the
            place. Defaults to False.
        frozen (bool): no gradient, and evaluation mode even through ``train()``.
            Defaults to True.
        dtype (str): see :class:`DINOVisionTransformer`. Defaults to 'float32'.
        init_cfg (dict, optional): ``dict(type='Pretrained', checkpoint=...)`` takes the
            authors' files, transformers' and timm's, ``.pth`` or ``.safetensors``: a
            path, a URL or ``hf://``.

    Raises:
        ValueError: an unknown ``arch``, or sizes that are not all given.
        IndexError: a block that is not there.
    """

    loads_strictly = True  # its file fills all of it, or is refused

    def __init__(self,
                 arch: str | dict = 'small',
                 patch_size: int = 16,
                 out_indices: Sequence[int] = (-1, ),
                 rotated_keys: bool = False,
                 frozen: bool = True,
                 dtype: str = 'float32',
                 init_cfg: dict | None = None) -> None:
        super().__init__(frozen, init_cfg)
        if isinstance(arch, dict):
            if arch.keys() != set(SIZES):
                raise ValueError(
                    f"arch has the keys {', '.join(arch)}: give {', '.join(SIZES)}")
            sizes = tuple(arch[key] for key in SIZES)
        elif arch in ARCHS:
            sizes = ARCHS[arch]
        else:
            raise ValueError(
                f"unknown arch '{arch}': choose one of {', '.join(ARCHS)}, or give its "
                'sizes')
        width, depth, heads, hidden, swiglu = sizes
        self.embed_dims, self.num_layers, self.num_heads = width, depth, heads
        self.patch_size = patch_size
        self.num_registers = REGISTERS
        self.rotated_keys = rotated_keys
        self.out_indices = [range(depth)[index] for index in out_indices]
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.register_tokens = nn.Parameter(torch.empty(1, REGISTERS, width))
        self.patch_embed = nn.ModuleDict(dict(
            proj=nn.Conv2d(3, width, patch_size, patch_size)))
        self.rope_embed = RotaryPosition(width // heads)
        self.blocks = nn.ModuleList(
            _Block(width, heads, (_SwiGLU if swiglu else _FFN)(width, hidden))
            for _ in range(depth))
        self.norm = nn.LayerNorm(width, EPS)
        for tokens in (self.cls_token, self.register_tokens):
            nn.init.normal_(tokens, std=0.02)
        set_dtype(self, dtype, frozen)
        self.freeze()

    def init_weights(self) -> None:
        """Load ``init_cfg.checkpoint`` strictly; without one weights stay random.

        Raises:
            FileNotFoundError, ValueError: the checkpoint is missing, truncated or of
                another network; the message says what it holds.
        """
        if self.init_cfg is None:
            return
        source = self.init_cfg['checkpoint']
        state_dict = read_vit(source)
        # The files of transformers and timm leave out what follows from the sizes, and
        # timm's also the biases of attention where all are 0.
        state_dict.setdefault('rope_embed.periods', self.rope_embed.periods)
        biases = {name: torch.zeros_like(value)
                  for name, value in self.state_dict().items()
                  if name.endswith('.attn.qkv.bias')}
        if not biases.keys() & state_dict.keys():
            state_dict.update(biases)
        check_vit(state_dict, self.state_dict(), source)
        self.load_state_dict(state_dict)
        self._is_init = True

    def _blocks(self, images: Tensor, angles: tuple[Tensor, Tensor]
                ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Of every block the residual stream, (B, 1 + registers + hw, C), and the
        unrotated queries and keys of its attention, (B, H, 1 + registers + hw, D)."""
        patches = self.patch_embed['proj'](
            images.to(self.cls_token.dtype)).flatten(2).transpose(1, 2)
        x = torch.cat([
            self.cls_token.expand(len(images), -1, -1),
            self.register_tokens.expand(len(images), -1, -1), patches], dim=1)
        for block in self.blocks:
            x, q, k = block(x, angles)
            yield x, q, k

    def features(self, images: Tensor) -> ViTFeatures:
        """Of B images, (B, 3, H, W); H and W are multiples of ``patch_size``.

        Raises:
            ValueError: they are not.
        """
        grid = patch_grid(images, self.patch_size)
        angles = self.rope_embed(grid)
        tokens = images.new_empty(
            len(images), self.num_layers, 1 + grid[0] * grid[1], self.embed_dims)
        for index, of_block in enumerate(self._blocks(images, angles)):
            x, q, k = of_block
            normed = self.norm(x)
            tokens[:, index, 0] = normed[:, 0]
            tokens[:, index, 1:] = normed[:, 1 + REGISTERS:]
        if self.rotated_keys:
            k = rotate(k, angles)
        return ViTFeatures(
            tokens, q[:, :, 0].to(images.dtype),
            k[:, :, 1 + REGISTERS:].to(images.dtype), grid)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Normed patch tokens of the blocks ``out_indices`` as (B, C, h, w) maps."""
        grid = patch_grid(x, self.patch_size)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return tuple(
                self.norm(tokens)[:, 1 + REGISTERS:].to(x.dtype).transpose(1, 2)
                .unflatten(2, grid)
                for index, (tokens, _, _) in enumerate(
                    self._blocks(x, self.rope_embed(grid)))
                if index in self.out_indices)
