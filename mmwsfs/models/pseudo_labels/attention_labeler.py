from __future__ import annotations

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from mmwsfs.registry import MODELS
from mmwsfs.structures import ViTFeatures


@MODELS.register_module()
class AttentionLabeler(BaseModule):
    """Pseudo-masks from the last attention of the backbone (section 3.3 of the paper).

    The cosine, per head, of the *support's* CLS query with the patch keys of an image,
    averaged over the heads: with the support's own keys its pseudo-mask, with the
    query's keys the query's.

    Args:
        threshold (float): of the map in 0..1. The paper's 0.4 belongs to DINO
            ViT-S/8; ignored where ``adaptive`` is given. Defaults to 0.4.
        adaptive (float, optional): a; the threshold is each map's own mean + a * std,
            for backbones whose cosines have another range. Defaults to None.
    """

    def __init__(self, threshold: float = 0.4, adaptive: float | None = None) -> None:
        super().__init__()
        self.threshold = threshold
        self.adaptive = adaptive

    def soft_map(self, support: ViTFeatures, image: ViTFeatures,
                 size: tuple[int, int]) -> Tensor:
        """(B, *size) in 0..1, of B images against as many supports."""
        cls_query = F.normalize(support.queries[:, :, :1].float(), dim=-1)
        keys = F.normalize(image.keys[:, :, 1:].float(), dim=-1)
        cosine = (cls_query * keys).sum(dim=-1).mean(dim=1)
        maps = F.interpolate(
            cosine.unflatten(-1, image.grid).unsqueeze(1), size, mode='bilinear',
            align_corners=True)
        return (maps.squeeze(1) + 1) / 2

    def forward(self, support: ViTFeatures, image: ViTFeatures,
                size: tuple[int, int]) -> Tensor:
        """Pseudo-masks, (B, *size) bool: the soft map above the threshold."""
        maps = self.soft_map(support, image, size)
        if self.adaptive is None:
            return maps > self.threshold
        pixels = maps.flatten(1)
        threshold = pixels.mean(dim=1) + self.adaptive * pixels.std(dim=1)
        return maps > threshold[:, None, None]
