"""PatchSums against loops over patches."""

import pytest
import torch

from mmwsfs.models.patch_sums import PatchSums

WIDTH, CLASSES = 4, 3


def images(lead):
    """Patches, (..., M, D), shares, (M, N), and weights, (M,), of images of any M."""
    generator = torch.Generator().manual_seed(0)
    for count in (5, 1, 8):
        yield (torch.randn(*lead, count, WIDTH, generator=generator),
               torch.rand(count, CLASSES, generator=generator),
               torch.rand(count, generator=generator))


@pytest.mark.parametrize('lead', [(), (2, ), (2, 3)])
def test_sums(lead):
    """Every sum, apart along the axes before the width."""
    sums = PatchSums((*lead, WIDTH), CLASSES)
    gram = torch.zeros(*lead, WIDTH, WIDTH, dtype=torch.double)
    cross = torch.zeros(*lead, WIDTH, CLASSES, dtype=torch.double)
    total = torch.zeros(*lead, WIDTH, dtype=torch.double)
    of_class, weight = torch.zeros(CLASSES, dtype=torch.double), 0.
    for patches, shares, weights in images(lead):
        sums.add(patches, shares, weights)
        for m, w in enumerate(weights.double()):
            x = patches[..., m, :].double()
            for i in range(WIDTH):
                for j in range(WIDTH):
                    gram[..., i, j] += w * x[..., i] * x[..., j]
                for n in range(CLASSES):
                    cross[..., i, n] += w * x[..., i] * shares[m, n]
                total[..., i] += w * x[..., i]
            for n in range(CLASSES):
                of_class[n] += w * shares[m, n]
            weight += float(w)
    for found, expected in (
            (sums.gram, gram), (sums.cross, cross), (sums.patches, total),
            (sums.shares, of_class)):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert sums.weight == pytest.approx(weight)


def test_many_images_lose_nothing():
    """Sums are of double precision, whatever the patches are of."""
    sums = PatchSums((1, ), 1)
    one = torch.ones(1, 1)
    sums.add(one * 4096, one, torch.ones(1))  # 2^24 in single would swallow ones
    for _ in range(100):
        sums.add(one, one, torch.ones(1))
    assert sums.gram.item() == 4096**2 + 100
    assert sums.gram.dtype == sums.cross.dtype == sums.patches.dtype == torch.double
