"""EnhancedLabeler, and what both labelers can do with their maps."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmwsfs.engine import TrainableOptimWrapperConstructor
from mmwsfs.models import AttentionLabeler, EnhancedLabeler
from mmwsfs.structures import ViTFeatures

HEADS, GRID, SIZE = 3, (4, 5), (16, 20)


def features(seed, thumbnail=True):
    generator = torch.Generator().manual_seed(seed)
    shape = (2, HEADS, 1 + GRID[0] * GRID[1], 6)
    return ViTFeatures(
        torch.zeros(2, 2, shape[2], HEADS * 6), torch.randn(shape, generator=generator),
        torch.randn(shape, generator=generator), GRID,
        torch.randn(2, 3, 16, 20, generator=generator) if thumbnail else None)


def cosine_maps(support, image):
    """(B, H, h, w), head by head and patch by patch."""
    maps = torch.empty(2, HEADS, *GRID)
    for b in range(2):
        for head in range(HEADS):
            for patch in range(GRID[0] * GRID[1]):
                maps[b, head, patch // GRID[1], patch % GRID[1]] = F.cosine_similarity(
                    support.queries[b, head, 0], image.keys[b, head, 1 + patch], dim=0)
    return maps


@pytest.fixture
def labeler():
    torch.manual_seed(0)
    return EnhancedLabeler(dict(type='PseudoLabelEnhancer', num_heads=HEADS))


def test_masks(labeler):
    """The enhancer on the head maps, upsampled, as probability, above the half."""
    support, image = features(0), features(1)
    logits = labeler.enhancer(cosine_maps(support, image))
    expected = 1 / (1 + (-F.interpolate(
        logits[:, None], SIZE, mode='bilinear', align_corners=True)[:, 0]).exp())
    torch.testing.assert_close(
        labeler.soft_map(support, image, SIZE), expected, rtol=1e-4, atol=1e-5)
    masks = labeler(support, image, SIZE)
    assert masks.dtype == torch.bool and masks.shape == (2, *SIZE)
    assert torch.equal(masks, labeler.soft_map(support, image, SIZE) > 0.5)


def test_is_frozen_but_part_of_the_model(labeler):
    """The segmentor's optimizer must not touch it, its checkpoint must hold it."""
    model = nn.ModuleDict(dict(labeler=labeler, head=nn.Conv2d(1, 1, 1)))
    constructor = TrainableOptimWrapperConstructor(dict(
        type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3)))
    trained = {id(p) for group in constructor(model).param_groups
               for p in group['params']}
    assert trained == {id(p) for p in model['head'].parameters()}
    assert 'labeler.enhancer.layers.0.weight' in model.state_dict()


def test_affinity_spreads_maps_over_like_patches():
    """Against the loop over pairs of patches."""
    support, image = features(0), features(1)
    sharpness, count = 7., GRID[0] * GRID[1]
    maps = cosine_maps(support, image).flatten(2)
    expected = torch.empty_like(maps)
    for b in range(2):
        for patch in range(count):
            alike = torch.stack([
                sum(F.cosine_similarity(
                    image.keys[b, head, 1 + patch], image.keys[b, head, 1 + other],
                    dim=0) for head in range(HEADS)) / HEADS
                for other in range(count)])
            weights = (sharpness * alike).exp() / (sharpness * alike).exp().sum()
            expected[b, :, patch] = maps[b] @ weights
    found = AttentionLabeler(affinity=sharpness).maps(support, image)
    torch.testing.assert_close(
        found, expected.unflatten(-1, GRID), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('kind', ['attention', 'enhanced'])
def test_refinement_comes_before_the_threshold(labeler, kind):
    """The soft map at the thumbnail's size, refined, then upsampled."""
    refine = dict(type='PixelAdaptiveRefinement', num_iters=2)
    if kind == 'attention':
        refined, plain = AttentionLabeler(refine=refine), AttentionLabeler()
    else:
        plain = labeler
        refined = EnhancedLabeler(
            dict(type='PseudoLabelEnhancer', num_heads=HEADS), refine=refine)
        refined.load_state_dict(plain.state_dict())
    support, image = features(0), features(1)
    small = refined.refine(
        plain.soft_map(support, image, (16, 20)), image.thumbnail)
    expected = F.interpolate(
        small[:, None], (32, 40), mode='bilinear', align_corners=True)[:, 0]
    torch.testing.assert_close(refined.soft_map(support, image, (32, 40)), expected)
    assert not torch.allclose(
        expected, plain.soft_map(support, image, (32, 40)), atol=1e-3)


def test_refinement_needs_colours():
    """A backbone without thumbnails is named, with the mend."""
    labeler = AttentionLabeler(refine=dict(type='PixelAdaptiveRefinement'))
    with pytest.raises(ValueError, match='features.thumbnail.*labeler.refine=None'):
        labeler(features(0), features(1, thumbnail=False), SIZE)
