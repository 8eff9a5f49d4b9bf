"""PrototypeMaps: its cosines, and how the neck hands them on."""

import pytest
import torch

from mmwsfs.models import CorrelationTransformer
from mmwsfs.models.necks.prototype_maps import PrototypeMaps
from mmwsfs.structures import ViTFeatures

LAYERS, WIDTH, GRID = 2, 12, (4, 6)


def features(batch, seed):
    generator = torch.Generator().manual_seed(seed)
    tokens = 1 + GRID[0] * GRID[1]
    return ViTFeatures(
        torch.randn(batch, LAYERS, tokens, WIDTH, generator=generator),
        torch.randn(batch, 2, tokens, 6, generator=generator),
        torch.randn(batch, 2, tokens, 6, generator=generator), GRID)


def naive_maps(query, support, inside):
    """Patch by patch: (2 * L, hw) cosines with the two weighted means."""
    rows = []
    for weights in (inside, 1 - inside):
        for layer in range(LAYERS):
            mean = sum(
                weight * patch for weight, patch in zip(weights, support[layer, 1:]))
            rows.append(torch.stack([
                torch.dot(patch, mean) / patch.norm() / mean.norm()
                for patch in query[layer, 1:]]))
    return torch.stack(rows)


@pytest.fixture
def mask():
    """Covers the patch at (1, 2), and half of that at (1, 3)."""
    mask = torch.zeros(16, 24)
    mask[4:8, 8:14] = 1
    return mask


def test_maps_against_loops(mask):
    """Inside first; before any training pair the moments are 0 and 1."""
    query, support = features(1, 0).tokens[0], features(1, 1).tokens[0]
    inside = torch.zeros(GRID)
    inside[1, 2], inside[1, 3] = 1, 0.5
    maps = PrototypeMaps(LAYERS).eval()
    found = maps(query[:, 1:], maps.prototypes(support[:, 1:], mask, GRID))
    torch.testing.assert_close(found, naive_maps(query, support, inside.flatten()))


@pytest.mark.parametrize('value', [0, 1])
def test_an_empty_part_is_the_whole_image(value):
    """No object, or nothing beside it: the mean of all patches."""
    support = features(1, 1).tokens[0, :, 1:]
    found = PrototypeMaps.prototypes(support, torch.full((8, 8), value), GRID)
    torch.testing.assert_close(found[:, 0], found[:, 1])
    torch.testing.assert_close(found[:, 0], support.mean(dim=1))


@pytest.fixture
def neck():
    """With a metric that changes tokens, and prototypes."""
    torch.manual_seed(0)
    neck = CorrelationTransformer(
        num_layers=LAYERS, num_heads=2, support_size=4, kernels=(2, 2),
        channels=(16, 32), metric=dict(
            type='DiscriminantMetric', num_layers=LAYERS, embed_dims=WIDTH),
        prototypes=True, standardise=True)
    neck.metric.matrix.normal_()
    neck.metric.patch_offset.normal_()
    neck.metric.cls_offset.normal_()
    return neck


def test_neck_appends_them(neck, mask):
    """To both token maps, of the tokens in the metric's space."""
    neck.eval()
    query, support = features(2, 0), features(4, 1)
    masks = torch.stack([mask, mask.flip(0), mask.flip(1), 1 - mask])
    cls_map, seg_map = neck(query, support, masks)
    assert cls_map.shape == seg_map.shape == (4, 32 + 2 * LAYERS, *GRID)
    assert torch.equal(cls_map[:, 32:], seg_map[:, 32:])
    inside = torch.nn.functional.adaptive_avg_pool2d(masks[:, None], GRID)[:, 0]
    for pair in range(4):
        expected = naive_maps(
            neck.metric(query.tokens[pair // 2]), neck.metric(support.tokens[pair]),
            inside[pair].flatten())
        torch.testing.assert_close(
            seg_map[pair, 32:].flatten(1), expected, rtol=1e-4, atol=1e-4)


def test_neck_correlates_in_the_space_of_the_metric(neck, mask):
    """As a neck without metric does with tokens that were brought there before."""
    neck.eval()
    plain = CorrelationTransformer(
        num_layers=LAYERS, num_heads=2, support_size=4, kernels=(2, 2),
        channels=(16, 32), standardise=True).eval()
    weights = {name: value for name, value in neck.state_dict().items()
               if name in plain.state_dict()}
    plain.load_state_dict(weights)
    query, support = features(1, 0), features(1, 1)

    def moved(images):
        tokens = neck.metric(images.tokens[0])[None]
        return ViTFeatures(tokens, images.queries, images.keys, GRID)

    found = neck(query, support, mask[None])
    expected = plain(moved(query), moved(support), mask[None])
    for own, other in zip(found, expected):
        torch.testing.assert_close(own[:, :32], other, rtol=1e-3, atol=1e-4)


def test_moments_are_learned_in_training(neck, mask):
    """Standardised over the pairs seen; in testing they stay."""
    neck.train()
    neck(features(3, 0), features(3, 1), mask.expand(3, -1, -1))
    moments = neck.prototypes.moments
    assert int(moments.num_pairs) == 3 and moments.mean.abs().sum() > 0
    before = moments.mean.clone()
    neck.eval()
    neck(features(1, 2), features(1, 3), mask[None])
    assert torch.equal(moments.mean, before)


def test_a_pair_does_not_depend_on_its_batch(neck, mask):
    """To the last bit."""
    neck.eval()
    query, support = features(3, 0), features(3, 1)
    both = neck(query, support, mask.expand(3, -1, -1))
    alone = neck(query[1:2], support[1:2], mask[None])
    assert all(torch.equal(b[1:2], a) for b, a in zip(both, alone))


def test_equal_queries_are_prepared_once(neck, mask, monkeypatch):
    """Of a run in a batch; what is found is the same."""
    neck.eval()
    first, second, support = features(1, 0), features(1, 5), features(4, 1)
    query = ViTFeatures.cat([first, first, second, first])
    calls = []
    split = neck._split_heads
    monkeypatch.setattr(
        neck, '_split_heads',
        lambda tokens: calls.append(tokens.shape[1]) or split(tokens))
    found = neck(query, support, mask.expand(4, -1, -1))
    assert calls.count(GRID[0] * GRID[1]) == 3
    for row in range(4):
        alone = neck(query[row:row + 1], support[row:row + 1], mask[None])
        assert all(torch.equal(f[row:row + 1], a) for f, a in zip(found, alone))


def test_gradients_reach_the_weights(neck, mask):
    """Query tokens in half precision, made again in the backward pass."""
    neck.train()
    query, support = features(2, 0), features(2, 1)
    half = query.map(lambda x: x.half())
    cls_map, seg_map = neck(half, support, mask.expand(2, -1, -1))
    (cls_map.square().sum() + seg_map.square().sum()).backward()
    assert all(p.grad is not None for p in neck.parameters())
