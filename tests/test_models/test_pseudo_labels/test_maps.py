"""Maps of patches against loops: attention, spreading, scale and size."""

import pytest
import torch
import torch.nn.functional as F

from mmwsfs.models import AttentionLabeler
from mmwsfs.models.pseudo_labels.maps import (
    head_maps,
    propagate,
    standardise,
    upsample,
)
from mmwsfs.structures import ViTFeatures

HEADS, WIDTH, GRID = 3, 6, (4, 5)
PATCHES = GRID[0] * GRID[1]


def features(seed):
    generator = torch.Generator().manual_seed(seed)
    return ViTFeatures(
        torch.zeros(2, 2, 1 + PATCHES, HEADS * WIDTH),
        torch.randn(2, HEADS, WIDTH, generator=generator),
        torch.randn(2, HEADS, PATCHES, WIDTH, generator=generator), GRID)


def cosine_maps(support, image):
    """(B, H, h, w), head by head and patch by patch."""
    maps = torch.empty(2, HEADS, *GRID)
    for b in range(2):
        for head in range(HEADS):
            for patch in range(PATCHES):
                maps[b, head, patch // GRID[1], patch % GRID[1]] = F.cosine_similarity(
                    support.cls_query[b, head], image.keys[b, head, patch], dim=0)
    return maps


def test_head_maps():
    """The support's CLS query against each patch's key; in single precision."""
    support, image = features(0), features(1)
    torch.testing.assert_close(head_maps(support, image), cosine_maps(support, image))
    half = head_maps(*(x.map(torch.Tensor.half) for x in (support, image)))
    assert half.dtype == torch.float
    torch.testing.assert_close(half, cosine_maps(support, image), rtol=0, atol=2e-3)


def test_affinity_spreads_maps_over_like_patches():
    """Against the loop over pairs of patches."""
    support, image = features(0), features(1)
    sharpness = 7.
    maps = cosine_maps(support, image).flatten(2)
    expected = torch.empty_like(maps)
    for b in range(2):
        for patch in range(PATCHES):
            alike = torch.stack([
                sum(F.cosine_similarity(
                    image.keys[b, head, patch], image.keys[b, head, other],
                    dim=0) for head in range(HEADS)) / HEADS
                for other in range(PATCHES)])
            weights = (sharpness * alike).exp() / (sharpness * alike).exp().sum()
            expected[b, :, patch] = maps[b] @ weights
    found = AttentionLabeler(affinity=sharpness).maps(support, image)
    torch.testing.assert_close(
        found, expected.unflatten(-1, GRID), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        propagate(head_maps(support, image), image, sharpness), found)


def test_sharpness_zero_is_the_mean():
    """Every patch is then as like as any other."""
    image, maps = features(1), torch.randn(2, 4, *GRID)
    found = propagate(maps, image, 0)
    torch.testing.assert_close(
        found, maps.mean(dim=(2, 3), keepdim=True).expand_as(maps))


def test_standardise():
    """Each map by itself; a constant one is no division by zero."""
    maps = torch.randn(2, 3, 4, 5) * 7 + 2
    found = standardise(maps)
    for image in range(2):
        for channel in range(3):
            values = maps[image, channel].flatten().tolist()
            mean = sum(values) / 20
            deviation = (sum((v - mean)**2 for v in values) / 19)**0.5
            torch.testing.assert_close(
                found[image, channel], (maps[image, channel] - mean) / deviation)
    assert standardise(torch.ones(1, 4, 5)).isfinite().all()
    assert standardise(maps.half()).dtype == torch.float


@pytest.mark.parametrize('size', [(8, 10), (7, 13)])
def test_upsample(size):
    """Corners keep their values, what lies between is linear."""
    maps = torch.randn(2, *GRID)
    found = upsample(maps, size)
    assert found.shape == (2, *size)
    for row in (0, -1):
        for column in (0, -1):
            torch.testing.assert_close(found[:, row, column], maps[:, row, column])
    position = 3 * (GRID[1] - 1) / (size[1] - 1)
    left = int(position)
    expected = torch.lerp(maps[:, 0, left], maps[:, 0, left + 1], position - left)
    torch.testing.assert_close(found[:, 0, 3], expected)
