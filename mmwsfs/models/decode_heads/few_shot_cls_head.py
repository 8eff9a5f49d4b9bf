from __future__ import annotations

from collections.abc import Sequence

from mmengine.model import BaseModule
from mmseg.models.losses import DiceLoss, LovaszLoss
from torch import Tensor, nn

from mmwsfs.registry import MODELS

from .batch_dice_loss import BatchDiceLoss
from .loss_terms import LossTerms

LOSSES_OF_MAPS = (BatchDiceLoss, DiceLoss, LovaszLoss)


@MODELS.register_module()
class FewShotClsHead(BaseModule):
    """Does the support's class occur in the query? (section 3.2 of the paper)

    Args:
        in_channels (int): channels of the classification token map.
        channels (Sequence[int]): of the first layer, and of the two after it. Defaults
            to (128, 64).
        loss_cls (dict | list[dict]): mmseg losses on 2 logits. Defaults to the
            paper's: cross entropy of weight 0.1.
        init_cfg (dict, optional): Defaults to None.

    Raises:
        ValueError: a loss is one of maps.
    """

    def __init__(self,
                 in_channels: int,
                 channels: Sequence[int] = (128, 64),
                 loss_cls: dict | Sequence[dict] = dict(
                     type='mmseg.CrossEntropyLoss', loss_weight=0.1),
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        first, second = channels
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, first, 1), nn.ReLU(),
            nn.Conv2d(first, second, 1), nn.ReLU(),
            nn.AvgPool2d(3, stride=2, padding=1),
            nn.Conv2d(second, second, 1), nn.ReLU(),
            nn.Conv2d(second, 2, 1))
        self.loss_cls = LossTerms(loss_cls, 'cls')
        for term in self.loss_cls:
            if isinstance(term, LOSSES_OF_MAPS):
                raise ValueError(
                    f'{type(term).__name__} compares regions, and presence has none: '
                    'move it from cls_head.loss_cls to seg_head.loss_seg')

    def forward(self, token_map: Tensor) -> Tensor:
        """(B, in_channels, h, w) -> (B, 2) logits of absent and present."""
        return self.layers(token_map).mean(dim=(-2, -1))

    def loss(self, token_map: Tensor, presence: Tensor) -> dict[str, Tensor]:
        """Losses against presence, (B,) bool."""
        return self.loss_cls(self(token_map).float(), presence.long())
