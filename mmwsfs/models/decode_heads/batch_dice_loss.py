from __future__ import annotations

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor, nn

from mmwsfs.registry import MODELS


def dice_sums(probabilities: Tensor, target: Tensor) -> Tensor:
    """Of all pixels together: sums of the product and of both, (2,).

    Args:
        probabilities: of foreground, in 0..1, of any shape.
        target: the foreground's share, in 0..1, of the same shape.
    """
    return torch.stack([
        (probabilities * target).sum(), (probabilities + target).sum()])


def dice_of_sums(sums: Tensor) -> Tensor:
    """1 - Dice, a scalar in 0..1, of :func:`dice_sums`."""
    product, both = sums
    return 1 - 2 * product / both.clamp_min(1e-6)


def batch_dice(probabilities: Tensor, target: Tensor) -> Tensor:
    """1 - Dice of all pixels of a batch together: a scalar in 0..1.

    Args:
        probabilities, target: see :func:`dice_sums`.
    """
    return dice_of_sums(dice_sums(probabilities, target))


@MODELS.register_module()
class BatchDiceLoss(nn.Module):
    """Dice loss of the foreground over a whole batch.

    A query without the class has no Dice of its own: its loss would be 1 whatever is
    found in it. Here what is found in it counts against the batch.

    The batch is that of all ranks: each has the loss of all episodes of the step, and
    the gradients that DDP averages are together that loss's. All ranks have to call it
    equally often.

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
        sums = dice_sums(probabilities, target.to(probabilities.dtype))
        world_size = get_world_size()
        if world_size == 1:
            return self.loss_weight * dice_of_sums(sums)
        everywhere = sums.detach().clone()
        all_reduce(everywhere)
        # The value is that of all ranks, the graph this rank's; the gradient is scaled
        # because DDP will average what has to be added.
        loss = dice_of_sums(everywhere + (sums - sums.detach()))
        return self.loss_weight * (
            loss.detach() + world_size * (loss - loss.detach()))
