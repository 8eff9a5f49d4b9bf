"""ClassProbe: its regression and what it does to scores."""

import pytest
import torch

from mmwsfs.models import ClassProbe, EnhancedLabeler
from mmwsfs.models.pseudo_labels.class_probe import ProbeSums
from mmwsfs.models.pseudo_labels.propagate import propagate
from mmwsfs.structures import ViTFeatures

GRID, WIDTH, HEADS = (4, 5), 6, 2


def features(batch, seed):
    generator = torch.Generator().manual_seed(seed)
    tokens = 1 + GRID[0] * GRID[1]
    return ViTFeatures(
        torch.randn(batch, 3, tokens, WIDTH, generator=generator),
        torch.randn(batch, HEADS, tokens, 3, generator=generator),
        torch.randn(batch, HEADS, tokens, 3, generator=generator), GRID)


@pytest.fixture
def probe():
    """Of three classes, of which the last is never shown."""
    probe = ClassProbe(
        3, layers=(0, 2), embed_dims=WIDTH, ridge=0.5, weight=1.5, affinity=4.,
        offset=0.25)
    sums = ProbeSums(2 * WIDTH, 3)
    generator = torch.Generator().manual_seed(5)
    probe.rows = []
    for seed in (1, 2, 3):
        image = features(1, seed)
        shares = torch.rand(20, 3, generator=generator)
        shares[:, 2] = 0
        weights = torch.rand(20, generator=generator)
        weights[0] = 0  # a patch of void
        probe.rows.append((image, shares, weights))
        sums.add(probe.patches(image)[0], shares, weights)
    probe.fit(sums)
    return probe


def test_patches(probe):
    """Tokens of the blocks, each divided by its length, one after the other."""
    image = features(2, 0)
    found = probe.patches(image)
    assert found.shape == (2, 20, 2 * WIDTH)
    for part, layer in enumerate((0, 2)):
        token = image.tokens[1, layer, 1 + 7]
        torch.testing.assert_close(
            found[1, 7, part * WIDTH:(part + 1) * WIDTH], token / token.norm())


def test_fit_is_weighted_ridge_regression(probe):
    """Against least squares with an intercept that is not penalised."""
    rows, targets = [], []
    for image, shares, weights in probe.rows:
        x = probe.patches(image)[0].double()
        root = weights.double().sqrt().unsqueeze(1)
        rows.append(torch.cat([x, torch.ones(20, 1)], dim=1) * root)
        targets.append(shares.double() * root)
    penalty = torch.eye(2 * WIDTH + 1, dtype=torch.double) * 0.5**0.5
    penalty[-1] = 0
    solution = torch.linalg.lstsq(
        torch.cat([*rows, penalty]),
        torch.cat([*targets, torch.zeros(2 * WIDTH + 1, 3)])).solution
    torch.testing.assert_close(
        probe.planes.double(), solution[:-1].T, rtol=1e-4, atol=1e-6)
    assert probe.known.tolist() == [True, True, False]


def test_combine(probe):
    """Known: both maps standardised and summed. Unknown: the scores as they are."""
    image, scores = features(3, 9), torch.randn(3, *GRID)
    found = probe.combine(scores, image, torch.tensor([2, 3, 1]))
    assert torch.equal(found[1], scores[1])
    for index, plane in ((0, probe.planes[1]), (2, probe.planes[0])):
        own = (probe.patches(image)[index] @ plane).view(1, 1, *GRID)
        own = propagate(own, image[index:index + 1], 4.)[0, 0]
        both = 1.5 * (own - own.mean()) / own.std()
        both = both + (scores[index] - scores[index].mean()) / scores[index].std()
        expected = (both - both.mean()) / both.std() - 0.25
        torch.testing.assert_close(found[index], expected, rtol=1e-4, atol=1e-5)


def test_labeler_asks_it_where_classes_are_given(probe):
    """In testing, where class numbers mean others, none are."""
    torch.manual_seed(0)
    labeler = EnhancedLabeler(dict(type='PseudoLabelEnhancer', num_heads=HEADS))
    bare = labeler(features(2, 0), features(2, 1), (16, 20))
    labeler.probe = probe
    assert torch.equal(labeler(features(2, 0), features(2, 1), (16, 20)), bare)
    classes = torch.tensor([1, 3])
    found = labeler(features(2, 0), features(2, 1), (16, 20), classes)
    assert (found[0] != bare[0]).any() and torch.equal(found[1], bare[1])
