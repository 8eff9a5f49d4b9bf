"""DiscriminantMetric: against loops over patches, and what it is for."""

import pytest
import torch
import torch.nn.functional as F

from mmwsfs.models import DiscriminantMetric, discriminant
from mmwsfs.models.token_metrics import discriminant_metric
from mmwsfs.models.token_metrics.discriminant_metric import _ObjectSums
from mmwsfs.structures import TokenGrid, TrainingImage, ViTFeatures

LAYERS, PATCHES, WIDTH, CLASSES = 2, 30, 6, 4


def training_image(tokens, classes, shares, valid=None, masks=None):
    """Of tokens, (L, 1 + hw, C), and each class's shares, (hw,)."""
    patches = tokens.shape[1] - 1
    features = ViTFeatures(
        tokens[None], torch.zeros(1, 1, 1), torch.zeros(1, 1, patches, 1), (1, patches))
    shares = torch.stack(shares)
    return TrainingImage(
        classes, features, shares,
        torch.ones(patches) if valid is None else valid, masks)


def images(count=12, seed=0):
    """Training images, of some of which patches are partly void."""
    generator = torch.Generator().manual_seed(seed)
    for index in range(count):
        tokens = torch.randn(LAYERS, 1 + PATCHES, WIDTH, generator=generator) + 1
        shares = {}
        for number in {1 + index % 3, 1 + index % 2}:  # the fourth is never shown
            share = torch.rand(PATCHES, generator=generator) - 0.5
            shares[number] = share.clamp_min(0)
            tokens[:, 1:, number] += 3 * (share > 0)
        valid = torch.ones(PATCHES)
        if index % 2:
            valid = sum(shares.values()).clamp_max(1) + (
                torch.rand(PATCHES, generator=generator) - 0.5).clamp_min(0)
        masks = torch.zeros(len(shares), 2, 2) if index % 4 else None
        yield training_image(
            tokens, list(shares), list(shares.values()), valid.clamp_max(1), masks)


@pytest.fixture
def fitted(make_fitting, monkeypatch):
    """Fitted to :func:`images`, and what it reported."""
    monkeypatch.setattr(discriminant_metric, 'RIDGE', 0.5)
    monkeypatch.setattr(discriminant, 'EMPHASIS', 0.75)
    fitting, reports = make_fitting(
        {f'{number:02d}': image for number, image in enumerate(images())}, CLASSES)
    metric = DiscriminantMetric(LAYERS, WIDTH)
    metric.fit_to(fitting)
    return metric, reports


def naive_matrix(layer, ridge, emphasis):
    """Object by object and patch by patch, in double precision."""
    objects: dict[int, list] = {}
    for image in images():
        tokens = image.features.tokens[0]
        shares = dict(zip(image.classes, image.shares))
        shares[0] = (image.valid - sum(shares.values())).clamp_min(0)
        for number, share in shares.items():
            weights = (share / share.sum()).double()
            objects.setdefault(number, []).append(
                (tokens[layer, 1:].double(), weights))
    means = {
        number: sum((x * w[:, None]).sum(dim=0) for x, w in shown) / len(shown)
        for number, shown in objects.items()}
    within = torch.zeros(WIDTH, WIDTH, dtype=torch.double)
    count = 0
    for number, shown in objects.items():
        if number == 0:
            continue
        for x, weights in shown:
            count += 1
            for patch, weight in zip(x, weights):
                difference = patch - means[number]
                within += weight * torch.outer(difference, difference)
    within /= count
    within += ridge * within.trace() / WIDTH * torch.eye(WIDTH, dtype=torch.double)
    values, vectors = torch.linalg.eigh(within)
    whiten = vectors @ torch.diag(values**-0.5) @ vectors.T
    centre = sum(means.values()) / len(means)
    basis: list = []  # Gram and Schmidt's
    for mean in means.values():
        direction = whiten @ (mean - centre)
        for other in basis:
            direction = direction - (direction @ other) * other
        if direction.norm() > 1e-9 and len(basis) < len(means) - 1:
            basis.append(direction / direction.norm())
    span = sum(torch.outer(b, b) for b in basis)
    return whiten @ (torch.eye(WIDTH, dtype=torch.double) + emphasis * span)


def test_fit_against_loops(fitted):
    """Whitening by the classes' inner covariance, then the emphasis."""
    metric, reports = fitted
    for layer in range(LAYERS):
        torch.testing.assert_close(
            metric.matrix[layer].double(), naive_matrix(layer, 0.5, 0.75),
            rtol=1e-4, atol=1e-5)
    objects = sum(len(image.classes) for image in images())
    (line, ), = reports
    assert f'{objects} objects of 3 classes in 12 images, of which 9 carry' in line


def test_apply(fitted):
    """CLS and patches lose their own means; patches alone give the same."""
    metric, _ = fitted
    tokens = torch.randn(2, LAYERS, 1 + 5, WIDTH, generator=torch.manual_seed(3))
    found = metric(TokenGrid(tokens, (1, 5)))
    assert found.grid == (1, 5)
    seen = torch.stack([image.features.tokens[0] for image in images()])
    cls_mean, patch_mean = seen[:, :, 0].mean(dim=0), seen[:, :, 1:].mean(dim=(0, 2))
    for number in range(2):
        for layer in range(LAYERS):
            cls = (tokens[number, layer, 0] - cls_mean[layer]) @ metric.matrix[layer]
            torch.testing.assert_close(
                found.tokens[number, layer, 0], cls, rtol=1e-4, atol=1e-5)
            patch = (tokens[number, layer, 4] - patch_mean[layer]) @ (
                metric.matrix[layer])
            torch.testing.assert_close(
                found.tokens[number, layer, 4], patch, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(metric.patches(tokens[:, :, 1:]), found.tokens[:, :, 1:])
    assert metric(TokenGrid(tokens.half(), (1, 5))).tokens.dtype == torch.float
    assert metric.patches(tokens.half()).dtype == torch.float


def test_of_full_features(fitted):
    """As the backbone gives them; only tokens are brought into the space."""
    metric, _ = fitted
    features = next(images()).features
    found = metric(features)
    expected = metric(TokenGrid(features.tokens, features.grid))
    assert torch.equal(found.tokens, expected.tokens)
    assert found.grid == features.grid


def test_commutes_with_means(fitted):
    """Of patches: a prototype may be brought there after it was averaged."""
    metric, _ = fitted
    patches = torch.randn(1, LAYERS, 5, WIDTH, generator=torch.manual_seed(4))
    torch.testing.assert_close(
        metric.patches(patches).mean(dim=2, keepdim=True),
        metric.patches(patches.mean(dim=2, keepdim=True)), rtol=1e-4, atol=1e-5)


def test_nothing_is_changed_before_it_is_fitted():
    """A model whose metric was not fitted is as without a metric."""
    tokens = torch.randn(1, LAYERS, 4, WIDTH, generator=torch.manual_seed(1))
    metric = DiscriminantMetric(LAYERS, WIDTH)
    assert torch.equal(metric(TokenGrid(tokens, (1, 3))).tokens, tokens)
    assert torch.equal(metric.patches(tokens), tokens)


def test_size_of_an_object_does_not_matter():
    """An object of one patch counts like one of many; empty ones do not count."""
    sums = _ObjectSums((1, 2), 3)
    small, large = torch.tensor([[[1., 0.]] * 11]), torch.tensor([[[0., 1.]] * 11])
    sums.add(training_image(small, [2], [torch.eye(10)[0]], valid=torch.eye(10)[0]))
    sums.add(training_image(large, [2, 1], [torch.ones(10), torch.zeros(10)]))
    assert sums.objects.shares.tolist() == pytest.approx([0, 2, 0])
    assert sums.backgrounds == 0  # nothing beside the objects
    means = sums.class_means()
    assert means.shape == (1, 1, 2)
    torch.testing.assert_close(
        means[0, 0], torch.tensor([0.5, 0.5], dtype=torch.double))


@pytest.mark.parametrize('shares', [
    {1: torch.ones(2)}, {1: torch.ones(2), 2: torch.zeros(2)}])
def test_one_class_is_not_enough(make_fitting, shares):
    """The error says what is missing; a class that is shown nowhere is none."""
    image = training_image(torch.ones(1, 3, 2), list(shares), list(shares.values()))
    fitting, _ = make_fitting({'a': image}, 3)
    with pytest.raises(ValueError, match='two classes'):
        DiscriminantMetric(1, 2).fit_to(fitting)


def test_new_classes_are_told_apart(make_fitting, monkeypatch):
    """Of what varies within every class alike, little is left; a class's mark stays.

    Classes differ in the second half of the channels, all patches in the first, and
    more: cosines of raw tokens hardly tell two new classes apart, the metric does.
    """
    monkeypatch.setattr(discriminant_metric, 'RIDGE', 0.01)
    generator = torch.Generator().manual_seed(0)
    marks = torch.randn(12, 8, generator=generator)

    def patches(number):
        noise = torch.randn(40, 16, generator=generator)
        noise[:, :8] *= 6
        noise[:, 8:] *= 0.5
        noise[:, 8:] += marks[number]
        return noise[None]

    made = {}
    for number in range(10):
        for index in range(5):
            made[f'{number}{index}'] = training_image(
                F.pad(patches(number), (0, 0, 1, 0)), [number + 1], [torch.ones(40)])
    metric = DiscriminantMetric(1, 16)
    metric.fit_to(make_fitting(made, 10)[0])

    def nearest(transform):
        first, second, query = (
            F.normalize(transform(patches(number)[None])[0, 0], dim=-1)
            for number in (10, 11, 10))
        return ((query @ first.T).max(dim=1).values
                > (query @ second.T).max(dim=1).values).float().mean()

    assert nearest(metric.patches) > 0.95 > nearest(lambda x: x) + 0.2
