"""ViTFeatures: a batch that is selected, joined and measured as one."""

from dataclasses import replace

import pytest
import torch

from mmwsfs.structures import ViTFeatures


def features(batch, grid=(2, 3), offset=0.):
    tokens = 1 + grid[0] * grid[1]
    return ViTFeatures(
        torch.randn(batch, 2, tokens, 8) + offset, torch.randn(batch, 4, tokens, 2),
        torch.randn(batch, 4, tokens, 2), grid,
        torch.randn(batch, 3, 4 * grid[0], 4 * grid[1]))


def assert_image(found, index, source, source_index):
    for name in ('tokens', 'queries', 'keys', 'thumbnail'):
        assert torch.equal(
            getattr(found, name)[index], getattr(source, name)[source_index])


@pytest.mark.parametrize('index, expected', [
    (slice(1, 3), [1, 2]), (torch.tensor([3, 0, 0]), [3, 0, 0]),
    (torch.tensor([True, False, False, True]), [0, 3])])
def test_select(index, expected):
    """Slices, numbers with repeats, and a mask; all tensors alike."""
    whole = features(4)
    part = whole[index]
    assert len(part) == len(expected) and part.grid == whole.grid
    for position, source in enumerate(expected):
        assert_image(part, position, whole, source)


def test_cat():
    """In the order given."""
    first, second = features(2), features(1)
    joined = ViTFeatures.cat([first, second])
    assert len(joined) == 3 and joined.grid == (2, 3)
    assert_image(joined, 1, first, 1)
    assert_image(joined, 2, second, 0)


def test_without_thumbnails():
    """A backbone may give none."""
    bare = replace(features(2), thumbnail=None)
    assert ViTFeatures.cat([bare, bare[:1]]).thumbnail is None
    assert bare.nbytes == features(2).nbytes - 2 * 3 * 8 * 12 * 4


@pytest.mark.parametrize('bare_first', [True, False])
def test_cat_of_some_thumbnails(bare_first):
    """None is dropped silently, wherever the bare one is."""
    parts = [features(1), replace(features(1), thumbnail=None)]
    with pytest.raises(ValueError, match='of 2 batches of features 1 carry'):
        ViTFeatures.cat(parts[::-1] if bare_first else parts)


def test_cat_of_different_grids():
    """The same number of patches in another arrangement is another grid."""
    with pytest.raises(ValueError, match=r'\(2, 3\), \(3, 2\).*resize'):
        ViTFeatures.cat([features(1, (2, 3)), features(1, (3, 2))])


def test_nbytes():
    """Bytes of the tensors, in the precision they have."""
    whole = features(3)
    values = 3 * 7 * 8 * 2 + 2 * (3 * 4 * 7 * 2) + 3 * 3 * 8 * 12
    assert whole.nbytes == 4 * values
    assert whole.map(torch.Tensor.half).nbytes == 2 * values
