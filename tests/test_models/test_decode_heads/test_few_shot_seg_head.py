"""FewShotSegHead against section 5 of the method."""

import pytest
import torch
import torch.nn.functional as F

from mmwsfs.models.decode_heads import FewShotSegHead


def bilinear(x, size):
    """align_corners=True: output i reads position i * (in - 1) / (out - 1)."""
    for axis, out in ((2, size[0]), (3, size[1])):
        length = x.shape[axis]
        lines = []
        for i in range(out):
            position = i * (length - 1) / (out - 1)
            low = min(int(position), length - 2)
            lines.append(
                (1 - position + low) * x.select(axis, low)
                + (position - low) * x.select(axis, low + 1))
        x = torch.stack(lines, dim=axis)
    return x


def naive_head(head, x, size):
    weights = iter(head.state_dict().values())

    def conv3x3(x):
        return F.conv2d(x, next(weights), next(weights), padding=1)

    x = conv3x3(x).relu()
    x = conv3x3(x).relu()
    x = bilinear(x, (2 * x.shape[2], 2 * x.shape[3]))
    x = conv3x3(x).relu()
    x = conv3x3(x)
    assert next(weights, None) is None
    return bilinear(x, size)


@pytest.mark.parametrize('widths', [{}, dict(channels=(12, 6))], ids=str)
@pytest.mark.parametrize('grid, size', [((5, 5), (40, 40)), ((4, 7), (33, 50))])
@torch.no_grad()
def test_logits(grid, size, widths):
    """At the size asked for, whatever its ratio to the grid; any width."""
    head = FewShotSegHead(in_channels=16, **widths)
    x = torch.randn(2, 16, *grid)
    found = head(x, size)
    assert found.shape == (2, 2, *size)
    torch.testing.assert_close(found, naive_head(head, x, size), rtol=0, atol=1e-5)
    assert found.std() > 0.01


@pytest.mark.parametrize('widths, a, b', [
    ({}, 128, 64), (dict(channels=(32, 16)), 32, 16)])
def test_layers(widths, a, b):
    """128 -> 128 -> 64 -> 64 -> 2 if not told other, all 3x3; names of checkpoints."""
    shapes = {
        name: tuple(value.shape)
        for name, value in FewShotSegHead(128, **widths).state_dict().items()}
    assert shapes == {
        'layers.0.weight': (a, 128, 3, 3), 'layers.0.bias': (a, ),
        'layers.2.weight': (b, a, 3, 3), 'layers.2.bias': (b, ),
        'layers.5.weight': (b, b, 3, 3), 'layers.5.bias': (b, ),
        'layers.7.weight': (2, b, 3, 3), 'layers.7.bias': (2, )}


def test_loss_is_the_negative_log_likelihood():
    """Section 8: weight 1, mean over all pixels of the target's size."""
    head = FewShotSegHead(in_channels=4)
    x = torch.randn(2, 4, 3, 3, requires_grad=True)
    target = torch.rand(2, 9, 7) > 0.5
    losses = head.loss(x, target)
    logits = head(x, (9, 7))
    total = 0
    for image in range(2):
        for row in range(9):
            for column in range(7):
                pixel = logits[image, :, row, column]
                wanted = pixel[1] if target[image, row, column] else pixel[0]
                total = total - torch.log(wanted.exp() / pixel.exp().sum())
    assert list(losses) == ['seg.loss_ce']
    torch.testing.assert_close(losses['seg.loss_ce'], total / (2 * 9 * 7))
    losses['seg.loss_ce'].backward()
    assert x.grad.abs().sum() > 0
