"""The space in which classes differ, by what it is to do."""

import torch

from mmwsfs.models.discriminant import EMPHASIS, discriminant

WIDTH = 5


def made():
    """A covariance within classes, and means of three classes."""
    generator = torch.manual_seed(0)
    root = torch.randn(WIDTH, WIDTH, dtype=torch.double, generator=generator)
    return root @ root.T, torch.randn(3, WIDTH, dtype=torch.double, generator=generator)


def test_directions_between_classes_count_more():
    """Differences of means grow by the emphasis; across them nothing changes."""
    within, means = made()
    matrix = discriminant(within, means, ridge=0.)
    values, vectors = torch.linalg.eigh(within)
    whiten = vectors @ torch.diag(values**-0.5) @ vectors.T
    differences = means[1:] - means[0]
    torch.testing.assert_close(
        differences @ matrix, (1 + EMPHASIS) * differences @ whiten)
    basis, _ = torch.linalg.qr((differences @ whiten).T)
    across = torch.eye(WIDTH, dtype=torch.double) - basis @ basis.T
    torch.testing.assert_close(matrix @ across, whiten @ across)


def test_ridge_stands_in_for_unseen_variation():
    """A covariance that lacks directions is no trouble, and a large ridge is none."""
    means = made()[1]
    flat = torch.zeros(WIDTH, WIDTH, dtype=torch.double)
    flat[0, 0] = 1
    assert discriminant(flat, means, ridge=1.).isfinite().all()
    large = discriminant(made()[0], means[:1], ridge=1e6)  # one mean: no direction
    torch.testing.assert_close(
        large / large[0, 0], torch.eye(WIDTH, dtype=torch.double), rtol=0, atol=1e-5)
