"""LossTerms: one or several of mmseg's losses under their own names."""

import torch

from mmwsfs.models.decode_heads.loss_terms import LossTerms

CE = dict(type='mmseg.CrossEntropyLoss')


def test_several_losses():
    """Same names are added up, others are logged beside."""
    logits, target = torch.randn(2, 2, 3, 3), torch.randint(0, 2, (2, 3, 3))
    expected = 0
    for image in range(2):
        for row in range(3):
            for column in range(3):
                pixel = logits[image, :, row, column]
                chosen = pixel[target[image, row, column]]
                expected -= torch.log(chosen.exp() / pixel.exp().sum()) / 18
    losses = LossTerms(
        [dict(CE, loss_weight=0.25), dict(CE, loss_weight=0.5),
         dict(CE, loss_weight=3.0, loss_name='loss_other')], 'seg')(logits, target)
    assert set(losses) == {'seg.loss_ce', 'seg.loss_other'}
    torch.testing.assert_close(losses['seg.loss_ce'], 0.75 * expected)
    torch.testing.assert_close(losses['seg.loss_other'], 3 * expected)


def test_names_are_summed_by_mmengine():
    """MMEngine adds up the entries with 'loss' in their name; ours have it."""
    losses = LossTerms(CE, 'cls')(torch.randn(4, 2), torch.tensor([0, 1, 1, 0]))
    assert all('loss' in name and name.startswith('cls.') for name in losses)
    assert len(losses) == 1
