from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mmwsfs.registry import MODELS


@MODELS.register_module()
class OneHotLoss(nn.Module):
    """A loss that compares every logit by itself, given the target one-hot.

    For sigmoid losses in our heads. mmseg's ``FocalLoss`` made of class numbers is
    wrong on a CPU: it takes the column behind the last class, zeros for every pixel,
    for the target. Of one-hot targets it, and mmpretrain's, are what they should be.

    Args:
        loss (dict): the loss, called with logits and targets of one shape.
        loss_name (str, optional): in the log. Defaults to None, the loss's own name.
    """

    def __init__(self, loss: dict, loss_name: str | None = None) -> None:
        super().__init__()
        self.loss = MODELS.build(loss)
        self.loss_name = loss_name or getattr(self.loss, 'loss_name', 'loss_one_hot')

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Loss of logits, (B, 2, ...), against class numbers, (B, ...)."""
        one_hot = F.one_hot(target, logits.shape[1]).movedim(-1, 1)
        return self.loss(logits, one_hot.to(logits.dtype))
