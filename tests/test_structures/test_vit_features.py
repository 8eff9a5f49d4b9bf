"""ViTFeatures: a batch that is selected, joined and measured as one."""

import pytest
import torch

from mmwsfs.structures import ViTFeatures


def features(batch, grid=(2, 3), offset=0.):
    tokens = 1 + grid[0] * grid[1]
    return ViTFeatures(
        torch.randn(batch, 2, tokens, 8) + offset, torch.randn(batch, 4, 2),
        torch.randn(batch, 4, tokens - 1, 2), grid)


def assert_image(found, index, source, source_index):
    for name in ('tokens', 'cls_query', 'keys'):
        assert torch.equal(
            getattr(found, name)[index], getattr(source, name)[source_index])


@pytest.mark.parametrize('index, expected', [
    (slice(1, 3), [1, 2]), (torch.tensor([3, 0, 0]), [3, 0, 0]),
    (torch.tensor([True, False, False, True]), [0, 3]), ([3, 0, 0], [3, 0, 0]),
    ([1, 2], [1, 2]), ([2], [2])])
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


@pytest.mark.parametrize('numbers, copied', [
    ([1, 2, 3], False), ([2], False), ([1, 3], True), ([2, 1], True), ([1, 1], True)])
def test_numbers_that_follow_each_other_are_not_copied(numbers, copied):
    """An episode's supports lie in a row: selecting them takes no memory."""
    whole = features(4)
    part = whole[numbers]
    whole.tokens[numbers[0]] = 7
    assert (part.tokens[0] != 7).any() == copied


def test_without_tokens():
    """What makes pseudo-masks stays, in memory of its own; tokens are gone."""
    whole = features(2)
    bare = whole.without_tokens()
    assert len(bare) == 2 and bare.grid == whole.grid
    assert bare.tokens.shape == (2, 2, 0, 8)
    assert torch.equal(bare.cls_query, whole.cls_query)
    assert torch.equal(bare.keys, whole.keys)
    for tensor in (bare.tokens, bare.cls_query, bare.keys):
        assert tensor.untyped_storage().nbytes() == tensor.nbytes
        assert tensor.untyped_storage().data_ptr() not in (
            whole.tokens.untyped_storage().data_ptr(),
            whole.cls_query.untyped_storage().data_ptr(),
            whole.keys.untyped_storage().data_ptr())


def test_cat_of_different_grids():
    """The same number of patches in another arrangement is another grid."""
    with pytest.raises(ValueError, match=r'\(2, 3\), \(3, 2\).*resize'):
        ViTFeatures.cat([features(1, (2, 3)), features(1, (3, 2))])


def test_nbytes():
    """Bytes of the tensors, in the precision they have."""
    whole = features(3)
    values = 3 * 7 * 8 * 2 + 3 * 4 * 2 + 3 * 4 * 6 * 2
    assert whole.nbytes == 4 * values
    assert whole.map(torch.Tensor.half).nbytes == 2 * values
