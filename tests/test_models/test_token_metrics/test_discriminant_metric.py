"""DiscriminantMetric: against loops over patches, and what it is for."""

import pytest
import torch
import torch.nn.functional as F

from mmwsfs.models import DiscriminantMetric
from mmwsfs.models.necks.discriminant_metric import MetricSums

LAYERS, PATCHES, WIDTH, CLASSES = 2, 30, 6, 4


def images(count=12, seed=0):
    """Tokens, (L, 1 + P, C), and of some classes the share of each patch."""
    generator = torch.Generator().manual_seed(seed)
    for index in range(count):
        tokens = torch.randn(LAYERS, 1 + PATCHES, WIDTH, generator=generator) + 1
        shares = {}
        for number in {1 + index % 3, 1 + index % 2}:  # the fourth is never shown
            share = torch.rand(PATCHES, generator=generator) - 0.5
            shares[number] = share.clamp_min(0)
            tokens[:, 1:, number] += 3 * (share > 0)
        shares[0] = (1 - sum(shares.values())).clamp_min(0)
        yield tokens, shares


@pytest.fixture
def metric():
    """Fitted to :func:`images`."""
    sums = MetricSums(LAYERS, WIDTH, CLASSES)
    for tokens, shares in images():
        sums.add_image(tokens)
        for number, share in shares.items():
            sums.add_object(tokens[:, 1:], share, number)
    metric = DiscriminantMetric(LAYERS, WIDTH, ridge=0.5, emphasis=0.75)
    metric.fit(sums)
    return metric


def naive_matrix(layer, ridge, emphasis):
    """Object by object and patch by patch, in double precision."""
    objects: dict[int, list] = {}
    for tokens, shares in images():
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


def test_fit_against_loops(metric):
    """Whitening by the classes' inner covariance, then the emphasis."""
    for layer in range(LAYERS):
        torch.testing.assert_close(
            metric.matrix[layer].double(), naive_matrix(layer, 0.5, 0.75),
            rtol=1e-4, atol=1e-5)


def test_apply(metric):
    """CLS and patches lose their own means; patches alone give the same."""
    tokens = torch.randn(LAYERS, 1 + 5, WIDTH, generator=torch.manual_seed(3))
    found = metric(tokens)
    seen = torch.stack([tokens for tokens, _ in images()])
    cls_mean, patch_mean = seen[:, :, 0].mean(dim=0), seen[:, :, 1:].mean(dim=(0, 2))
    for layer in range(LAYERS):
        cls = (tokens[layer, 0] - cls_mean[layer]) @ metric.matrix[layer]
        torch.testing.assert_close(found[layer, 0], cls, rtol=1e-4, atol=1e-5)
        patch = (tokens[layer, 4] - patch_mean[layer]) @ metric.matrix[layer]
        torch.testing.assert_close(found[layer, 4], patch, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(metric.patches(tokens[:, 1:]), found[:, 1:])
    assert metric(tokens.half()).dtype == torch.float


def test_nothing_is_changed_before_it_is_fitted():
    """A model without the hook is as without a metric."""
    tokens = torch.randn(LAYERS, 4, WIDTH, generator=torch.manual_seed(1))
    assert torch.equal(DiscriminantMetric(LAYERS, WIDTH)(tokens), tokens)


def test_size_of_an_object_does_not_matter():
    """An object of one patch counts like one of many; empty ones do not count."""
    sums = MetricSums(1, 2, 3)
    small, large = torch.tensor([[[1., 0.]] * 10]), torch.tensor([[[0., 1.]] * 10])
    sums.add_object(small, torch.eye(10)[0], 2)
    sums.add_object(large, torch.ones(10), 2)
    sums.add_object(large, torch.zeros(10), 1)
    assert sums.counts.tolist() == [0, 0, 2, 0]
    torch.testing.assert_close(
        sums.class_means()[0, 0], torch.tensor([0.5, 0.5], dtype=torch.double))


def test_one_class_is_not_enough():
    """The error says what is missing."""
    sums = MetricSums(1, 2, 3)
    sums.add_image(torch.ones(1, 3, 2))
    sums.add_object(torch.ones(1, 2, 2), torch.ones(2), 1)
    with pytest.raises(ValueError, match='two classes'):
        DiscriminantMetric(1, 2).fit(sums)


def test_new_classes_are_told_apart():
    """Of what varies within every class alike, little is left; a class's mark stays.

    Classes differ in the second half of the channels, all patches in the first, and
    more: cosines of raw tokens hardly tell two new classes apart, the metric does.
    """
    generator = torch.Generator().manual_seed(0)
    marks = torch.randn(12, 8, generator=generator)

    def patches(number):
        noise = torch.randn(40, 16, generator=generator)
        noise[:, :8] *= 6
        noise[:, 8:] *= 0.5
        noise[:, 8:] += marks[number]
        return noise[None]

    sums = MetricSums(1, 16, 10)
    for number in range(10):
        for _ in range(5):
            x = patches(number)
            sums.add_image(F.pad(x, (0, 0, 1, 0)))
            sums.add_object(x, torch.ones(40), number + 1)
    metric = DiscriminantMetric(1, 16, ridge=0.01)
    metric.fit(sums)

    def nearest(transform):
        first, second, query = (
            F.normalize(transform(patches(number))[0], dim=-1)
            for number in (10, 11, 10))
        return ((query @ first.T).max(dim=1).values
                > (query @ second.T).max(dim=1).values).float().mean()

    assert nearest(metric.patches) > 0.95 > nearest(lambda x: x) + 0.2
