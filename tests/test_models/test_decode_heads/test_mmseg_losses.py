"""mmseg's losses in our heads: the settings that docs/mixing.md gives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mmwsfs.models import FewShotClsHead, FewShotSegHead
from mmwsfs.models.decode_heads.loss_terms import LossTerms

DICE = dict(type='mmseg.DiceLoss', use_sigmoid=False, ignore_index=0, naive_dice=True,
            eps=1.0)
FOCAL = dict(type='OneHotLoss', loss=dict(type='mmseg.FocalLoss', gamma=2.0, alpha=0.5))
LOVASZ = dict(type='mmseg.LovaszLoss', reduction='none', classes=[1])


def dice(logits: Tensor, target: Tensor) -> float:
    """Of the foreground, image by image."""
    values = []
    for image, mask in zip(logits.softmax(dim=1)[:, 1], target):
        values.append(1 - (2 * image[mask == 1].sum() + 1) / (
            image.sum() + mask.sum() + 1))
    return sum(values) / len(values)


def focal(logits: Tensor, target: Tensor) -> float:
    """Each logit is a yes or no of its own."""
    total = count = 0
    for image, labels in zip(logits.flatten(2), target.flatten(1)):
        for pixel, label in zip(image.T, labels.tolist()):
            for number, logit in enumerate(pixel):
                right = logit.sigmoid() if number == label else 1 - logit.sigmoid()
                total -= 0.5 * (1 - right) ** 2 * right.log()
                count += 1
    return total / count


def lovasz(logits: Tensor, target: Tensor) -> float:
    """Of the foreground over the batch: errors, largest first, weighted by how much
    the Jaccard index loses by each."""
    probabilities = logits.softmax(dim=1)[:, 1].flatten()
    truth = target.flatten().bool()
    errors = torch.where(truth, 1 - probabilities, probabilities)
    wrong, total, before = torch.zeros_like(truth), 0, 0.
    for index in errors.argsort(descending=True).tolist():
        wrong[index] = True
        kept, union = (truth & ~wrong).sum(), (truth | wrong).sum()
        loss = float(1 - kept / union)
        total, before = total + errors[index] * (loss - before), loss
    return total


@pytest.mark.parametrize('config, expected', [
    (DICE, dice), (FOCAL, focal), (LOVASZ, lovasz)], ids=['dice', 'focal', 'lovasz'])
def test_values(config: dict, expected) -> None:
    """As computed pixel by pixel; one image of the batch has no foreground."""
    torch.manual_seed(0)
    logits, target = torch.randn(3, 2, 3, 4), torch.randint(0, 2, (3, 3, 4))
    target[1] = 0
    [loss] = LossTerms(config, 'seg')(logits, target).values()
    torch.testing.assert_close(loss, expected(logits, target), atol=1e-5, rtol=1e-5)


def test_focal_of_class_numbers_is_why_there_is_a_wrapper() -> None:
    """mmseg's own, on a CPU, gives no loss of them for two logits; or a wrong one."""
    torch.manual_seed(0)
    logits, target = torch.randn(2, 2, 3, 4), torch.randint(0, 2, (2, 3, 4))
    terms = LossTerms(FOCAL['loss'], 'seg')
    try:
        [loss] = terms(logits, target).values()
    except (RuntimeError, ValueError):
        return
    assert abs(loss - focal(logits, target)) > 1e-3


def test_focal_of_presence() -> None:
    """In the classification head as well, and mmpretrain's with it."""
    torch.manual_seed(0)
    token_map, presence = torch.randn(4, 8, 4, 4), torch.tensor([1, 0, 1, 1]).bool()
    values = []
    for config in (FOCAL, dict(type='OneHotLoss', loss=dict(
            type='mmpretrain.FocalLoss', gamma=2.0, alpha=0.5))):
        torch.manual_seed(1)
        head = FewShotClsHead(8, loss_cls=config)
        [loss] = head.loss(token_map, presence).values()
        logits = head(token_map)[:, :, None]
        torch.testing.assert_close(loss, focal(logits, presence[:, None].long()))
        values.append(loss.item())
    assert values[0] == pytest.approx(values[1])


@pytest.mark.parametrize(
    'config', [DICE, FOCAL, LOVASZ], ids=['dice', 'focal', 'lovasz'])
def test_all_reach_the_weights(config: dict) -> None:
    """Beside cross entropy, under their own names."""
    torch.manual_seed(0)
    head = FewShotSegHead(8, (8, 8), loss_seg=[
        dict(type='mmseg.CrossEntropyLoss'), config])
    losses = head.loss(torch.randn(2, 8, 4, 4), torch.rand(2, 8, 8) > 0.5)
    assert len(losses) == 2 and all('loss' in name for name in losses)
    sum(losses.values()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0
               for name, p in head.named_parameters() if name.endswith('weight'))


@pytest.mark.parametrize('config', [
    DICE, LOVASZ, dict(type='BatchDiceLoss')], ids=['dice', 'lovasz', 'batch dice'])
def test_losses_of_regions_are_no_losses_of_presence(config: dict) -> None:
    """Refused as the head is built."""
    with pytest.raises(ValueError, match='move it from cls_head.loss_cls to seg_head'):
        FewShotClsHead(8, loss_cls=[dict(type='mmseg.CrossEntropyLoss'), config])
