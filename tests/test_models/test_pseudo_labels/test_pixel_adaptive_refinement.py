"""PixelAdaptiveRefinement against loops over pixels."""

import math

import pytest
import torch

from mmwsfs.models import PixelAdaptiveRefinement


def naive(soft, image, dilations, num_iters, bandwidth):
    """One map, (H, W), by one image, (C, H, W), as nested lists."""
    channels, height, width = image.shape
    image, soft = image.tolist(), soft.tolist()

    def inside(value, size):
        return min(max(value, 0), size - 1)

    def places(y, x):
        return [(inside(y + d * dy, height), inside(x + d * dx, width))
                for d in dilations for dy in (-1, 0, 1) for dx in (-1, 0, 1)
                if (dy, dx) != (0, 0)]

    weights = {}
    for y in range(height):
        for x in range(width):
            exponents = [0.0] * (8 * len(dilations))
            for plane in image:
                values = [plane[i][j] for i, j in places(y, x)]
                mean = sum(values) / len(values)
                deviation = math.sqrt(
                    sum((v - mean) ** 2 for v in values) / (len(values) - 1))
                for n, v in enumerate(values):
                    ratio = (v - plane[y][x]) / (bandwidth * deviation + 1e-6)
                    exponents[n] -= ratio**2 / channels
            top = max(exponents)
            powers = [math.exp(e - top) for e in exponents]
            weights[y, x] = [p / sum(powers) for p in powers]
    for _ in range(num_iters):
        soft = [[
            sum(w * soft[i][j] for w, (i, j) in zip(weights[y, x], places(y, x)))
            for x in range(width)] for y in range(height)]
    return torch.tensor(soft)


@pytest.mark.parametrize('dilations, num_iters, bandwidth', [
    ((1, ), 1, 0.3), ((1, 2), 3, 0.3), ((1, 3, 4), 2, 1.0)])
def test_equals_the_loop(dilations, num_iters, bandwidth):
    """Neighbours, their weights and the iterations, edges included."""
    torch.manual_seed(0)
    soft, image = torch.rand(2, 7, 9), torch.randn(2, 3, 7, 9)
    refine = PixelAdaptiveRefinement(dilations, num_iters, bandwidth)
    found = refine(soft, image)
    for index in range(2):
        expected = naive(soft[index], image[index], dilations, num_iters, bandwidth)
        torch.testing.assert_close(found[index], expected, rtol=1e-4, atol=1e-5)


def test_a_map_takes_the_shape_of_an_object():
    """What refinement is for: the map's edge moves to the edge of the colours."""
    image = torch.zeros(1, 3, 24, 24)
    image[:, :, 6:18, 6:18] = 1
    image += 0.01 * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    truth = image[0, 0] > 0.5
    soft = torch.zeros(1, 24, 24)
    soft[:, 4:15, 5:16] = 1  # shifted

    def iou(mask):
        return float((mask & truth).sum() / (mask | truth).sum())

    refined = PixelAdaptiveRefinement(num_iters=10)(soft, image)[0]
    assert iou(refined > 0.5) > iou(soft[0] > 0.5) + 0.1


def test_a_plain_image_keeps_a_constant_map():
    """No colour differs: the deviation is 0, and nothing becomes NaN."""
    soft = torch.full((1, 8, 8), 0.25)
    refined = PixelAdaptiveRefinement()(soft, torch.ones(1, 3, 8, 8))
    torch.testing.assert_close(refined, soft)


def test_range_and_precision():
    """Weighted means stay within the map's range; mixed precision does not reach it."""
    torch.manual_seed(0)
    soft, image = torch.rand(3, 16, 16), torch.randn(3, 3, 16, 16)
    refine = PixelAdaptiveRefinement()
    plain = refine(soft, image)
    assert soft.min() <= plain.min() and plain.max() <= soft.max()
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(refine(soft, image), plain)
    torch.testing.assert_close(
        refine(soft, image.half()), plain, rtol=1e-2, atol=1e-2)
