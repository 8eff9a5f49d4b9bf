"""AttentionLabeler against section 6 of the method, pixel by pixel."""

import math

import pytest
import torch

from mmwsfs.models.pseudo_labels import AttentionLabeler
from mmwsfs.structures import ViTFeatures

HEADS, WIDTH = 3, 4


def random_features(batch, grid):
    patches = grid[0] * grid[1]
    return ViTFeatures(
        torch.zeros(batch, 2, 1 + patches, HEADS * WIDTH),
        torch.randn(batch, HEADS, WIDTH), torch.randn(batch, HEADS, patches, WIDTH),
        grid)


def cosine(a, b):
    norms = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(x * x for x in b))
    return sum(x * y for x, y in zip(a, b)) / norms


def naive_map(support, image, index, size):
    """Nested lists of one image's soft map."""
    height, width = image.grid
    patches = [[0.0] * width for _ in range(height)]
    for row in range(height):
        for column in range(width):
            for head in range(HEADS):
                query = support.cls_query[index, head].tolist()
                key = image.keys[index, head, row * width + column].tolist()
                patches[row][column] += cosine(query, key) / HEADS
    result = []
    for i in range(size[0]):
        y = i * (height - 1) / (size[0] - 1)
        top = min(int(y), height - 2)
        line = []
        for j in range(size[1]):
            x = j * (width - 1) / (size[1] - 1)
            left = min(int(x), width - 2)
            dy, dx = y - top, x - left
            value = (
                patches[top][left] * (1 - dy) * (1 - dx)
                + patches[top][left + 1] * (1 - dy) * dx
                + patches[top + 1][left] * dy * (1 - dx)
                + patches[top + 1][left + 1] * dy * dx)
            line.append((value + 1) / 2)
        result.append(line)
    return result


def soft_map(support, image, size):
    """Of the labeler with its defaults, before the threshold."""
    labeler = AttentionLabeler()
    return labeler.soften(labeler.scores(support, image), size)


@pytest.fixture
def pair():
    """Supports, queries of another grid, and the maps of the queries."""
    torch.manual_seed(0)
    support, query = random_features(2, (3, 3)), random_features(2, (4, 5))
    maps = [naive_map(support, query, index, (12, 17)) for index in range(2)]
    return support, query, maps


def test_soft_map(pair):
    """Support CLS query against the patches' keys, at the size asked for."""
    support, query, maps = pair
    found = soft_map(support, query, (12, 17))
    torch.testing.assert_close(found, torch.tensor(maps), rtol=0, atol=1e-6)


def test_support_mask_is_of_its_own_keys(pair):
    """With the support on both sides: the support's pseudo-mask."""
    support = pair[0]
    maps = [naive_map(support, support, index, (8, 8)) for index in range(2)]
    torch.testing.assert_close(
        soft_map(support, support, (8, 8)), torch.tensor(maps), rtol=0, atol=1e-6)


@pytest.mark.parametrize('threshold', [0.4, 0.55])
def test_fixed_threshold(pair, threshold):
    """A pixel is foreground above the threshold, 0.4 unless said otherwise."""
    support, query, maps = pair
    labeler = AttentionLabeler() if threshold == 0.4 else AttentionLabeler(threshold)
    found = labeler(support, query, (12, 17))
    expected = [[[x > threshold for x in line] for line in image] for image in maps]
    assert found.dtype == torch.bool
    assert found.tolist() == expected
    assert 0 < found.float().mean() < 1


@pytest.mark.parametrize('adaptive', [0.0, 0.5, -1.0])
def test_adaptive_threshold(pair, adaptive):
    """Each map's own mean + a * std; a = 0 is the mean, not 'off'."""
    support, query, maps = pair
    found = AttentionLabeler(threshold=0.99, adaptive=adaptive)(
        support, query, (12, 17))
    for image, mask in zip(maps, found):
        pixels = [x for line in image for x in line]
        mean = sum(pixels) / len(pixels)
        std = math.sqrt(sum((x - mean)**2 for x in pixels) / (len(pixels) - 1))
        threshold = mean + adaptive * std
        assert mask.tolist() == [[x > threshold for x in line] for line in image]
        assert 0 < mask.float().mean() < 1


def test_half_precision_features(pair):
    """Features out of the cache are rounded, and so no more than nearly equal."""
    support, query, maps = pair
    found = soft_map(
        support.map(torch.Tensor.half), query.map(torch.Tensor.half), (12, 17))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.tensor(maps), rtol=0, atol=2e-3)
