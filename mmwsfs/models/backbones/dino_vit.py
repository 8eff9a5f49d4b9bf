from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmpretrain.models import VisionTransformer
from torch import Tensor, nn

from mmwsfs.registry import MODELS
from mmwsfs.structures import ViTFeatures

from .dino_checkpoint import read_vit, to_mmpretrain_names
from .frozen_dtype import own_precision, set_dtype
from .onednn_linear import onednn_linear
from .patch_grid import patch_grid
from .vit_description import check_vit

# How many images a frozen backbone takes at once.
IMAGES_AT_ONCE = {'cpu': 1, 'cuda': 16}


@MODELS.register_module()
class DINOVisionTransformer(VisionTransformer):
    """A ViT pretrained with DINO or DINOv2, frozen by default.

    On mmpretrain's ``VisionTransformer``. One pass gives the normed tokens of every
    block and, of the last, CLS's query and the patches' keys (:meth:`extract`); called
    as a plain mmseg backbone it gives feature maps at ``out_indices``
    (:meth:`forward`). ``num_layers``, ``num_heads`` and ``embed_dims`` are the sizes
    that the rest of a few-shot model follows.

    Position embeddings stay at the size they were pretrained at and are interpolated
    to the image's grid as the models' releases do it: bicubic, by the scale factor
    (h + 0.1) / sqrt(N); with registers, to the size h x w itself and antialiased (the
    releases' ``interpolate_offset`` 0.1 and 0.0, ``interpolate_antialias``).

    ``configs/wsfs/BACKBONES.md`` lists the released models.

    Args:
        arch (str | dict): width, depth, heads, FFN width, as mmpretrain's name or
            settings: 'deit-small', 'deit-base', 'large', 'dinov2-giant'. Defaults to
            'deit-small'.
        img_size (int): image size in pixels *at pretraining*, which fixes the number
            of position embeddings: 224 for DINO, 518 for DINOv2. Defaults to 224.
        patch_size (int): side of a patch in pixels: 8 or 16 for DINO, 14 for DINOv2.
            Defaults to 8.
        out_indices (Sequence[int]): blocks whose maps :meth:`forward` returns.
            Defaults to (-1, ), the last.
        num_registers (int): learned tokens that take part in attention and have no
            position; nothing that the backbone returns contains them. 4 for DINOv2's
            ``_reg4`` models (arXiv 2309.16588). Defaults to 0.
        frozen (bool): no gradient, and evaluation mode even through ``train()``.
            Defaults to True.
        dtype (str): 'float32', or 'bfloat16' for a frozen one: its parameters are kept,
            and it computes, in it, whatever autocast says; what it gives is in single
            precision all the same. Defaults to 'float32'.
        init_cfg (dict, optional): ``dict(type='Pretrained', checkpoint=...)`` takes
            official DINO and DINOv2 files and mmpretrain-named ones, as a path or URL.
        **kwargs: further arguments of mmpretrain's ``VisionTransformer``:
            ``layer_scale_init_value=1.0`` for DINOv2, which scales the branches of
            its blocks, and ``layer_cfgs=dict(ffn_type='swiglu_fused')`` for its ViT-g,
            whose FFNs are SwiGLUs. ``frozen_stages=n``, with ``frozen=False``, freezes
            the embeddings and the first n blocks alone.
    """

    loads_strictly = True  # its file fills all of it, or is refused

    def __init__(self,
                 arch: str | dict = 'deit-small',
                 img_size: int = 224,
                 patch_size: int = 8,
                 out_indices: Sequence[int] = (-1, ),
                 num_registers: int = 0,
                 frozen: bool = True,
                 dtype: str = 'float32',
                 init_cfg: dict | None = None,
                 **kwargs: Any) -> None:
        super().__init__(
            arch=arch,
            img_size=img_size,
            patch_size=patch_size,
            out_indices=list(out_indices),
            out_type='featmap',
            init_cfg=init_cfg,
            **kwargs)
        self.patch_size = patch_size
        self.num_heads = self.arch_settings['num_heads']
        self.num_registers = num_registers
        if num_registers:
            self.register_tokens = nn.Parameter(
                1e-6 * torch.randn(1, num_registers, self.embed_dims))
            if self.frozen_stages > 0:
                self.register_tokens.requires_grad_(False)
        self.frozen = frozen
        set_dtype(self, dtype, frozen)
        if frozen:
            self.requires_grad_(False)
            self.train(False)

    def train(self, mode: bool = True) -> DINOVisionTransformer:
        """Set the mode; what is frozen stays in evaluation mode."""
        super().train(mode and not self.frozen)
        if self.frozen_stages > 0:
            self._freeze_stages()
        return self

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter, for layer-wise decay of the learning rate: registers
        enter before the first block, as CLS and the positions do."""
        if param_name == f'{prefix}register_tokens':
            return 0, self.num_layers + 2
        return super().get_layer_depth(param_name, prefix)

    def init_weights(self) -> None:
        """Load ``init_cfg.checkpoint`` strictly, or initialise at random.

        Raises:
            FileNotFoundError, ValueError: the checkpoint is missing, truncated or
                belongs to another network; the message says what it holds.
        """
        if (self.init_cfg or {}).get('type') != 'Pretrained':
            super().init_weights()
            return
        source = self.init_cfg['checkpoint']
        state_dict = to_mmpretrain_names(read_vit(source))
        check_vit(state_dict, self.state_dict(), source)
        self.load_state_dict(state_dict)
        self._is_init = True

    def _prepare_pos_embed(self, *args: Any, **kwargs: Any) -> None:
        """Leave position embeddings as they were pretrained."""

    def _position_embedding(self, grid: tuple[int, int]) -> Tensor:
        """(1, 1 + hw, C), interpolated the way the model's release does it."""
        height, width = self.patch_resolution
        if grid == (height, width):
            return self.pos_embed
        patches = self.pos_embed[:, 1:].unflatten(1, (height, width))
        patches = patches.permute(0, 3, 1, 2).float()
        if self.num_registers:
            patches = F.interpolate(patches, grid, mode='bicubic', antialias=True)
        else:
            patches = F.interpolate(
                patches,
                scale_factor=((grid[0] + 0.1) / height, (grid[1] + 0.1) / width),
                mode='bicubic')
        if tuple(patches.shape[-2:]) != grid:
            raise RuntimeError(f'position embeddings for {grid} came out as '
                               f'{tuple(patches.shape[-2:])}')
        patches = patches.flatten(2).transpose(1, 2).to(self.pos_embed)
        return torch.cat([self.pos_embed[:, :1], patches], dim=1)

    def _without_registers(self, x: Tensor) -> Tensor:
        """(B, 1 + registers + hw, C) -> (B, 1 + hw, C)."""
        if not self.num_registers:
            return x
        return torch.cat([x[:, :1], x[:, 1 + self.num_registers:]], dim=1)

    def _blocks(self, images: Tensor) -> Iterator[Tensor]:
        """Yield the residual stream, (B, 1 + hw, C), after every block."""
        x, grid = self.patch_embed(images.to(self.cls_token.dtype))
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        x = self.pre_norm(self.drop_after_pos(x + self._position_embedding(grid)))
        if self.num_registers:
            registers = self.register_tokens.expand(len(x), -1, -1)
            x = torch.cat([x[:, :1], registers, x[:, 1:]], dim=1)
        for layer in self.layers:
            x = layer(x)
            yield self._without_registers(x)

    def extract(self, images: Tensor) -> ViTFeatures:
        """Everything the few-shot model needs of B images, in one pass.

        A frozen backbone takes some images at a time.

        Args:
            images: (B, 3, H, W), normalised; H and W multiples of ``patch_size``.

        Returns:
            ViTFeatures: tokens of all blocks, CLS's query and the patches' keys of the
            last.

        Raises:
            ValueError: the image size is no multiple of the patch size.
        """
        grid = patch_grid(images, self.patch_size)
        at_once = len(images)
        if self.frozen:  # more is no faster, and takes memory
            at_once = IMAGES_AT_ONCE.get(images.device.type, at_once)
        tokens: Any = None
        cls_query: Any = None
        keys: Any = None
        last_qkv: list[Tensor] = []
        handle = self.layers[-1].attn.qkv.register_forward_hook(
            lambda module, args, output: last_qkv.append(output))
        try:
            with own_precision(self, images.device), torch.set_grad_enabled(
                    torch.is_grad_enabled() and not self.frozen), onednn_linear(
                        images.device):
                for start in range(0, len(images), at_once):
                    part = slice(start, start + at_once)
                    for index, x in enumerate(self._blocks(images[part])):
                        if tokens is None:  # filled in place: joining holds all twice
                            tokens = images.new_empty(
                                len(images), self.num_layers, *x.shape[1:])
                        tokens[part, index] = self.ln1(x)
                    q, k = self._without_registers(last_qkv.pop()).unflatten(
                        -1, (3, self.num_heads, -1))[:, :, :2].permute(2, 0, 3, 1, 4)
                    if keys is None:
                        keys = images.new_empty(
                            len(images), self.num_heads, k.shape[2] - 1, k.shape[3])
                        cls_query = images.new_empty(
                            *keys.shape[:2], q.shape[3])
                    cls_query[part], keys[part] = q[:, :, 0], k[:, :, 1:]
        finally:
            handle.remove()
        return ViTFeatures(tokens, cls_query, keys, grid)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Normed patch tokens of the blocks ``out_indices`` as (B, C, h, w) maps."""
        grid = patch_grid(x, self.patch_size)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return tuple(
                self._format_output(self.ln1(tokens).to(x.dtype), grid)
                for index, tokens in enumerate(self._blocks(x))
                if index in self.out_indices)
