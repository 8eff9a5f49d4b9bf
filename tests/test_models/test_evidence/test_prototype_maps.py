"""PrototypeMaps: prototypes and cosines, against loops over patches."""

import pytest
import torch

from mmwsfs.models import PrototypeMaps
from mmwsfs.models.evidence.prototype_maps import support_prototypes
from mmwsfs.structures import TokenGrid

LAYERS, WIDTH, GRID = 2, 12, (4, 6)


def features(batch, seed):
    generator = torch.Generator().manual_seed(seed)
    return TokenGrid(
        torch.randn(batch, LAYERS, 1 + GRID[0] * GRID[1], WIDTH, generator=generator),
        GRID)


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


@pytest.fixture
def inside():
    """Of that mask, share by share."""
    inside = torch.zeros(GRID)
    inside[1, 2], inside[1, 3] = 1, 0.5
    return inside.flatten()


def test_prototypes_against_loops(mask, inside):
    """Weighted means of the patches, inside first; CLS has no part; of any mask type.
    """
    support = features(2, 1)
    masks = torch.stack([mask, mask.flip(0)])
    found = support_prototypes(support, masks)
    assert found.shape == (2, LAYERS, 2, WIDTH)
    flipped = inside.view(GRID).flip(0).flatten()
    for pair, weights in enumerate((inside, flipped)):
        for layer in range(LAYERS):
            patches = support.tokens[pair, layer, 1:]
            for part, share in enumerate((weights, 1 - weights)):
                mean = sum(w * x for w, x in zip(share, patches)) / share.sum()
                torch.testing.assert_close(found[pair, layer, part], mean)
    assert torch.equal(support_prototypes(support, masks > 0), found)
    half = TokenGrid(support.tokens.half(), GRID)
    assert support_prototypes(half, masks).dtype == torch.float


def test_maps_against_loops(mask, inside):
    """Object's first; before any training pair the moments are 0 and 1."""
    query, support = features(1, 0), features(1, 1)
    maps = PrototypeMaps(LAYERS).eval()
    assert maps.out_channels == 2 * LAYERS
    found = maps(query, support_prototypes(support, mask[None]), [0])
    assert found.shape == (1, 2 * LAYERS, *GRID)
    torch.testing.assert_close(
        found[0].flatten(1), naive_maps(query.tokens[0], support.tokens[0], inside))


@pytest.mark.parametrize('value', [0, 1])
def test_an_empty_part_is_the_whole_image(value):
    """No object, or nothing beside it: the mean of all patches."""
    support = features(1, 1)
    found = support_prototypes(support, torch.full((1, 8, 8), value))
    torch.testing.assert_close(found[:, :, 0], found[:, :, 1])
    torch.testing.assert_close(
        found[:, :, 0], support.tokens[:, :, 1:].mean(dim=2))


def test_standardised_over_the_training_pairs(mask):
    """By the moments before the step, which learns of all of its pairs."""
    maps = PrototypeMaps(LAYERS)
    query, support = features(2, 0), features(3, 1)
    prototypes = support_prototypes(support, mask.expand(3, -1, -1))
    first = maps(query, prototypes, [0, 0, 1])
    assert maps.moments.num_pairs == 3
    values = first.flatten(2).transpose(0, 1).flatten(1)
    torch.testing.assert_close(maps.moments.mean, values.mean(dim=1))
    torch.testing.assert_close(maps.moments.var, values.var(dim=1, correction=0))
    state = {name: value.clone() for name, value in maps.state_dict().items()}
    second = maps.eval()(query, prototypes, [0, 0, 1])
    shape = (1, -1, 1, 1)
    torch.testing.assert_close(
        second, (first - state['moments.mean'].view(shape))
        / state['moments.var'].sqrt().view(shape))
    assert all(torch.equal(value, state[name])
               for name, value in maps.state_dict().items())


def test_no_gradient_and_no_parameters(mask):
    """Features of a backbone that trains get none by this way."""
    maps, query = PrototypeMaps(LAYERS), features(1, 0)
    query.tokens.requires_grad_()
    found = maps(query, support_prototypes(features(1, 1), mask[None]), [0])
    assert not found.requires_grad and not list(maps.parameters())
