from __future__ import annotations

from torch import Tensor, nn

from mmwsfs.registry import MODELS


def batch_dice(probabilities: Tensor, target: Tensor) -> Tensor:
    """1 - Dice of all pixels of a batch together: a scalar in 0..1.

    Args:
        probabilities: of foreground, in 0..1, of any shape.
        target: the foreground's share, in 0..1, of the same shape.
    """
    intersection = (probabilities * target).sum()
    return 1 - 2 * intersection / (probabilities + target).sum().clamp_min(1e-6)


@MODELS.register_module()
class BatchDiceLoss(nn.Module):
    """Dice loss of the foreground over a whole batch.

    A query without the class has no Dice of its own: its loss would be 1 whatever is
    found in it. Here what is found in it counts against the batch.

    Args:
        loss_weight (float): Defaults to 1.0.
    """

    loss_name = 'loss_dice'  # in the log

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Loss of logits, (B, 2, H, W), against the target, (B, H, W) of 0 and 1."""
        probabilities = logits.softmax(dim=1)[:, 1]
        return self.loss_weight * batch_dice(
            probabilities, target.to(probabilities.dtype))
