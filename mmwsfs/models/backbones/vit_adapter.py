from __future__ import annotations

import torch
from mmpretrain.models import VisionTransformer
from torch import Tensor

from mmwsfs.registry import MODELS
from mmwsfs.structures import ViTFeatures

from .feature_backbone import FeatureBackbone
from .patch_grid import patch_grid


@MODELS.register_module()
class ViTAdapter(FeatureBackbone):
    """A plain ViT of mmpretrain under a few-shot model: MAE's, DeiT's, any other's.

    Tokens, CLS's query and keys are taken as from
    :class:`~mmwsfs.models.DINOVisionTransformer`; the ViT itself is mmpretrain's,
    with its position embeddings, its weights and the loading of them. Tokens that are
    neither CLS nor a patch, as DeiT's distillation token, are left out.

    Args:
        vit (dict): config of mmpretrain's ``VisionTransformer`` or of a child, with its
            ``init_cfg``. What it says of ``out_type`` and ``out_indices`` is replaced.
        frozen (bool): see :class:`FeatureBackbone`. Defaults to True.

    Raises:
        ValueError: it is another model, or has no CLS token.
    """

    def __init__(self, vit: dict, frozen: bool = True) -> None:
        super().__init__(frozen)
        kind = vit['type']
        if not issubclass(
                MODELS.get(kind) if isinstance(kind, str) else kind, VisionTransformer):
            raise ValueError(
                'ViTAdapter takes mmpretrain.VisionTransformer or a child of it, '
                f"which '{kind}' is not: adapt it by a FeatureBackbone of your own")
        self.vit = MODELS.build(dict(vit, out_type='raw', out_indices=-1))
        if not self.vit.with_cls_token:
            raise ValueError(
                f"'{kind}' without a CLS token has nothing to tell presence by: set "
                'with_cls_token=True in model.backbone.vit')
        self.num_layers = self.vit.num_layers
        self.num_heads = self.vit.arch_settings['num_heads']
        self.embed_dims = self.vit.embed_dims
        self.patch_size = self.vit.patch_embed.projection.stride[0]
        self.vit.out_indices = list(range(self.num_layers))
        self.freeze()

    def features(self, images: Tensor) -> ViTFeatures:
        """Of B images, (B, 3, H, W); H and W are multiples of ``patch_size``.

        Raises:
            ValueError: they are not.
        """
        grid = patch_grid(images, self.patch_size)
        last_qkv = []
        handle = self.vit.layers[-1].attn.qkv.register_forward_hook(
            lambda module, args, output: last_qkv.append(output))
        try:
            blocks = list(self.vit(images))
        finally:
            handle.remove()
        if self.vit.final_norm:  # mmpretrain norms the last block's alone
            blocks[:-1] = [self.vit.ln1(tokens) for tokens in blocks[:-1]]
        q, k, _ = last_qkv[0].unflatten(-1, (3, self.num_heads, -1)).permute(
            2, 0, 3, 1, 4)
        extra = self.vit.num_extra_tokens
        tokens = torch.stack(blocks, dim=1)
        if extra > 1:
            tokens = torch.cat([tokens[:, :, :1], tokens[:, :, extra:]], dim=2)
        return ViTFeatures(tokens, q[:, :, 0], k[:, :, extra:], grid)
