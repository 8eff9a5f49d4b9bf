"""Dice over a batch, against a loop over pixels."""

import pytest
import torch

from mmwsfs.models.decode_heads.batch_dice_loss import BatchDiceLoss, batch_dice


def test_equals_a_loop():
    """Two sums over all pixels of the batch; the weight multiplies."""
    torch.manual_seed(0)
    logits, target = torch.randn(3, 2, 4, 5), torch.randint(0, 2, (3, 4, 5))
    both = sums = 0.
    for image in range(3):
        for row in range(4):
            for column in range(5):
                background, foreground = logits[image, :, row, column].exp().tolist()
                p = foreground / (background + foreground)
                t = int(target[image, row, column])
                both += p * t
                sums += p + t
    found = BatchDiceLoss(loss_weight=2.)(logits, target)
    assert float(found) == pytest.approx(2 * (1 - 2 * both / sums), rel=1e-5)


def test_a_query_without_the_class_counts():
    """What is found there raises the loss; its own Dice would be 1 either way."""
    target = torch.zeros(2, 4, 4)
    target[0, :2] = 1
    perfect = target.clone()
    false_alarm = target.clone()
    false_alarm[1, 0] = 0.5
    assert batch_dice(perfect, target) == pytest.approx(0)
    assert batch_dice(false_alarm, target) == pytest.approx(1 - 16 / 18)


def test_nothing_to_find():
    """Neither nan nor a gradient that explodes."""
    found = torch.zeros(1, 3, 3, requires_grad=True)
    loss = batch_dice(found, torch.zeros(1, 3, 3))
    loss.backward()
    assert loss == 1 and found.grad.isfinite().all()
