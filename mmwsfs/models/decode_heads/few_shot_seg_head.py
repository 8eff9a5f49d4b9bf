from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmwsfs.registry import MODELS

from .loss_terms import LossTerms


@MODELS.register_module()
class FewShotSegHead(BaseModule):
    """Where in the query is the support's class? (section 3.2 of the paper)

    Args:
        in_channels (int): channels of the segmentation token map.
        channels (Sequence[int]): of the first layer, and of the two after it. Defaults
            to (128, 64).
        loss_seg (dict | list[dict]): mmseg losses on 2 logits a pixel. Defaults to
            the paper's: cross entropy.
        init_cfg (dict, optional): Defaults to None.
    """

    def __init__(self,
                 in_channels: int,
                 channels: Sequence[int] = (128, 64),
                 loss_seg: dict | Sequence[dict] = dict(
                     type='mmseg.CrossEntropyLoss', loss_weight=1.0),
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        first, second = channels
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, first, 3, padding=1), nn.ReLU(),
            nn.Conv2d(first, second, 3, padding=1), nn.ReLU(),
            nn.Upsample(scale_factor=2, mode='bilinear', align_corners=True),
            nn.Conv2d(second, second, 3, padding=1), nn.ReLU(),
            nn.Conv2d(second, 2, 3, padding=1))
        self.loss_seg = LossTerms(loss_seg, 'seg')

    def forward(self, token_map: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, in_channels, h, w) -> ``(B, 2, *size)`` logits, background and class."""
        return F.interpolate(
            self.layers(token_map), size, mode='bilinear', align_corners=True)

    def loss(self, token_map: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Losses against the target, (B, H, W) bool, at its size."""
        logits = self(token_map, tuple(target.shape[-2:]))
        return self.loss_seg(logits.float(), target.long())
