"""ClassProbe: its regression and what it does to scores."""

import pytest
import torch

from mmwsfs.models import ClassProbe, EnhancedLabeler
from mmwsfs.models.pseudo_labels import class_probe
from mmwsfs.models.pseudo_labels.maps import propagate
from mmwsfs.structures import TrainingImage, ViTFeatures

GRID, WIDTH, HEADS = (4, 5), 6, 2


def features(batch, seed):
    generator = torch.Generator().manual_seed(seed)
    patches = GRID[0] * GRID[1]
    return ViTFeatures(
        torch.randn(batch, 3, 1 + patches, WIDTH, generator=generator),
        torch.randn(batch, HEADS, 3, generator=generator),
        torch.randn(batch, HEADS, patches, 3, generator=generator), GRID)


def training_images():
    """Of three classes, of which only the first two are on images with masks."""
    generator = torch.Generator().manual_seed(5)
    images = {}
    for number, classes in enumerate(([1], [2, 1], [2], [3])):
        valid = torch.rand(20, generator=generator)
        valid[0] = 0  # a patch of void
        shares = torch.rand(len(classes), 20, generator=generator) * valid
        images[f'{number}'] = TrainingImage(
            classes, features(1, number), shares, valid,
            None if 3 in classes else torch.zeros(len(classes), 2, 2))
    return images


@pytest.fixture
def probe(make_fitting, monkeypatch):
    """Fitted to :func:`training_images`."""
    for name, value in (('RIDGE', 0.5), ('WEIGHT', 1.5), ('SHARPNESS', 4.),
                        ('OFFSET', 0.25)):
        monkeypatch.setattr(class_probe, name, value)
    probe = ClassProbe(3, 3, layers=(0, 2), embed_dims=WIDTH)
    fitting, reports = make_fitting(training_images(), 3)
    probe.fit_to(fitting)
    assert reports == [('class probe: knows 2 classes', )]
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
    for image in training_images().values():
        if image.masks is None:
            continue
        x = probe.patches(image.features)[0].double()
        shares = torch.zeros(20, 3, dtype=torch.double)
        for number, share in zip(image.classes, image.shares):
            for patch in range(1, 20):  # of the pixels that are not void
                shares[patch, number - 1] = share[patch] / image.valid[patch]
        root = image.valid.double().sqrt().unsqueeze(1)
        rows.append(torch.cat([x, torch.ones(20, 1)], dim=1) * root)
        targets.append(shares * root)
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


@pytest.mark.parametrize('depth, layers', [
    (1, [0]), (2, [1]), (12, [9, 11]), (24, [19, 23]), (40, [33, 39])])
def test_blocks_are_chosen_by_the_depth(depth, layers):
    """The last and one before it; those that were tuned on twelve blocks."""
    probe = ClassProbe(3, depth, WIDTH)
    assert probe.layers == layers
    assert probe.planes.shape == (3, len(layers) * WIDTH)


def test_needs_room_for_all_classes(make_fitting):
    """The error names the setting, its value and the one that fits."""
    fitting, _ = make_fitting(training_images(), 20)
    with pytest.raises(ValueError, match='up to 3.*num_classes is 2: set it to 20'):
        ClassProbe(2, 3, layers=(0, ), embed_dims=WIDTH).fit_to(fitting)


def test_without_any_mask_it_knows_nothing(make_fitting):
    """And changes no scores."""
    images = {name: image for name, image in training_images().items()
              if image.masks is None}
    probe = ClassProbe(3, 3, layers=(0, 2), embed_dims=WIDTH)
    probe.fit_to(make_fitting(images, 3)[0])
    assert not probe.known.any() and not probe.planes.any()
    scores = torch.randn(1, *GRID)
    assert torch.equal(
        probe.combine(scores, features(1, 9), torch.tensor([3])), scores)
