"""FewShotClsHead against section 5 of the method."""

import pytest
import torch

from mmwsfs.models.decode_heads import FewShotClsHead


def conv1x1(x, weight, bias):
    return torch.einsum('oc,bchw->bohw', weight[:, :, 0, 0], x) + bias[:, None, None]


def average_pool(x):
    """3x3, stride 2, pad 1; the zeros of the padding are counted (always / 9)."""
    height, width = x.shape[-2:]
    rows = []
    for row in range(0, height, 2):
        cells = []
        for column in range(0, width, 2):
            total = 0
            for i in range(row - 1, row + 2):
                for j in range(column - 1, column + 2):
                    if 0 <= i < height and 0 <= j < width:
                        total = total + x[:, :, i, j]
            cells.append(total / 9)
        rows.append(torch.stack(cells, dim=-1))
    return torch.stack(rows, dim=-2)


def naive_head(head, x):
    weights = iter(head.state_dict().values())
    x = conv1x1(x, next(weights), next(weights)).relu()
    x = conv1x1(x, next(weights), next(weights)).relu()
    x = average_pool(x)
    x = conv1x1(x, next(weights), next(weights)).relu()
    x = conv1x1(x, next(weights), next(weights))
    assert next(weights, None) is None
    return x.sum(dim=(2, 3)) / (x.shape[2] * x.shape[3])


@pytest.mark.parametrize('widths', [{}, dict(channels=(12, 6))], ids=str)
@pytest.mark.parametrize('size', [(6, 6), (5, 8), (1, 1)])
@torch.no_grad()
def test_logits(size, widths):
    """Even and odd grids, on which the padding counts differently; any width."""
    head = FewShotClsHead(in_channels=16, **widths)
    x = torch.randn(3, 16, *size)
    found = head(x)
    assert found.shape == (3, 2)
    torch.testing.assert_close(found, naive_head(head, x), rtol=1e-5, atol=1e-6)
    assert found.std(dim=0).min() > 0


@pytest.mark.parametrize('widths, a, b', [
    ({}, 128, 64), (dict(channels=(32, 16)), 32, 16)])
def test_layers(widths, a, b):
    """128 -> 128 -> 64 -> 64 -> 2 if not told other, all 1x1; names of checkpoints."""
    shapes = {
        name: tuple(value.shape)
        for name, value in FewShotClsHead(128, **widths).state_dict().items()}
    assert shapes == {
        'layers.0.weight': (a, 128, 1, 1), 'layers.0.bias': (a, ),
        'layers.2.weight': (b, a, 1, 1), 'layers.2.bias': (b, ),
        'layers.5.weight': (b, b, 1, 1), 'layers.5.bias': (b, ),
        'layers.7.weight': (2, b, 1, 1), 'layers.7.bias': (2, )}


def test_loss_is_a_tenth_of_the_negative_log_likelihood():
    """Section 8: weight 0.1, mean over the batch; gradients reach the map."""
    head = FewShotClsHead(in_channels=8)
    x = torch.randn(3, 8, 4, 4, requires_grad=True)
    presence = torch.tensor([True, False, True])
    losses = head.loss(x, presence)
    total = 0
    for logits, present in zip(head(x), presence):
        total -= torch.log(logits[int(present)].exp() / logits.exp().sum())
    assert list(losses) == ['cls.loss_ce']
    torch.testing.assert_close(losses['cls.loss_ce'], 0.1 * total / 3)
    losses['cls.loss_ce'].backward()
    assert x.grad.abs().sum() > 0


def test_loss_can_be_exchanged():
    """Any of mmseg's losses by config."""
    head = FewShotClsHead(
        in_channels=8, loss_cls=dict(type='mmseg.CrossEntropyLoss', loss_weight=2.0))
    paper = FewShotClsHead(in_channels=8)
    paper.load_state_dict(head.state_dict())
    x, presence = torch.randn(2, 8, 4, 4), torch.tensor([True, False])
    torch.testing.assert_close(
        head.loss(x, presence)['cls.loss_ce'],
        20 * paper.loss(x, presence)['cls.loss_ce'])
