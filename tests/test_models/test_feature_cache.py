"""FeatureCache: right for every image, computed once, bounded."""

import pytest
import torch

from mmwsfs.models import FeatureCache
from mmwsfs.structures import ViTFeatures

# One image's features: 2 x 5 x 4 + 2 x (2 x 5 x 2) values of two bytes.
ENTRY_BYTES = 2 * (2 * 5 * 4 + 2 * 2 * 5 * 2)


class Backbone:
    """Features that say which image they are of, and a record of the calls."""

    def __init__(self):
        self.calls = []

    def extract(self, images):
        self.calls.append(len(images))
        value = images.flatten(1).sum(dim=1) / 3
        return ViTFeatures(*(
            (value.view(-1, *[1] * (len(shape))) * factor).expand(-1, *shape)
            for shape, factor in (((2, 5, 4), 1), ((2, 5, 2), 2), ((2, 5, 2), 3))),
            (2, 2))


@pytest.fixture
def backbone():
    return Backbone()


def image(value):
    return torch.full((3, 2, 2), float(value))


def batch(*values):
    return torch.stack([image(value) for value in values])


def assert_features(features, *values):
    """Tokens, queries and keys are of these images, rounded to half precision."""
    assert len(features) == len(values)
    assert features.grid == (2, 2)
    for index, value in enumerate(values):
        total = torch.tensor(12 * float(value) / 3)
        for tensor, factor in (
                (features.tokens, 1), (features.queries, 2), (features.keys, 3)):
            assert tensor.dtype == torch.float16
            assert (tensor[index] == (total * factor).half()).all()


def test_every_image_goes_through_the_backbone_once(backbone):
    """Images are found again, in any order and beside new ones."""
    cache = FeatureCache(1)
    assert_features(cache.extract(batch(1, 2, 3), backbone.extract), 1, 2, 3)
    assert_features(cache.extract(batch(3, 1), backbone.extract), 3, 1)
    assert_features(
        cache.extract(batch(2, 7, 1, 8), backbone.extract), 2, 7, 1, 8)
    assert backbone.calls == [3, 2]
    assert len(cache) == 5


def test_an_image_twice_in_a_batch_is_computed_once(backbone):
    """A query that is another episode's support."""
    cache = FeatureCache(1)
    assert_features(cache.extract(batch(4, 5, 4, 4), backbone.extract), 4, 5, 4, 4)
    assert backbone.calls == [2]
    assert len(cache) == 2


def test_first_and_later_uses_are_equal():
    """A result doesn't depend on what the cache holds: rounded at once."""
    cache = FeatureCache(1)
    features = ViTFeatures(
        torch.randn(1, 2, 5, 4), torch.randn(1, 2, 5, 2), torch.randn(1, 2, 5, 2),
        (2, 2))
    first = cache.extract(batch(1), lambda images: features)
    second = cache.extract(batch(1), lambda images: pytest.fail('computed twice'))
    for name in ('tokens', 'queries', 'keys'):
        assert torch.equal(getattr(first, name), getattr(second, name))
        assert torch.equal(getattr(first, name), getattr(features, name).half())


def test_images_that_differ_by_a_bit_are_two(backbone):
    """Another pixel, other places of the pixels, another shape of the same bytes."""
    cache = FeatureCache(1)
    first = torch.zeros(1, 3, 2, 2)
    second = first.clone()
    second[0, 2, 1, 1] = 1e-30
    third = second.flip(-1)
    for images in (first, second, third, first.reshape(1, 3, 4, 1)):
        cache.extract(images, backbone.extract)
    assert len(cache) == 4
    # The same pixels in another memory layout are the same image.
    cache.extract(
        second.contiguous(memory_format=torch.channels_last), backbone.extract)
    assert backbone.calls == [1] * 4


def held_bytes(cache):
    """Memory that the entries really keep alive, storages counted whole."""
    return sum(
        tensor.untyped_storage().nbytes()
        for entry in cache._entries.values()
        for tensor in (entry.tokens, entry.queries, entry.keys))


def test_memory_is_bounded_and_the_longest_unused_goes_first(backbone):
    """Room for three: the fourth drops the one that was not used for longest."""
    cache = FeatureCache(3.5 * ENTRY_BYTES / 2**30)
    cache.extract(batch(1, 2, 3), backbone.extract)
    assert len(cache) == 3
    cache.extract(batch(1), backbone.extract)
    cache.extract(batch(4), backbone.extract)
    assert backbone.calls == [3, 1]
    cache.extract(batch(1, 3, 4), backbone.extract)
    assert backbone.calls == [3, 1]
    cache.extract(batch(2), backbone.extract)
    assert backbone.calls == [3, 1, 1]
    for value in range(10, 40):
        cache.extract(batch(value, value + 1), backbone.extract)
        assert held_bytes(cache) <= 3.5 * ENTRY_BYTES
    assert len(cache) == 3


@pytest.mark.parametrize('entries', [0.5, 1.5])
def test_a_batch_larger_than_the_cache_is_right(backbone, entries):
    """Too little room costs time, never a result."""
    cache = FeatureCache(entries * ENTRY_BYTES / 2**30)
    for _ in range(2):
        assert_features(cache.extract(batch(1, 2, 3), backbone.extract), 1, 2, 3)
        assert len(cache) == int(entries)


def test_cached_features_are_out_of_the_graph():
    """No graph of the first pass is kept alive or trained through."""
    weight = torch.ones(1, requires_grad=True)

    def extract(images):
        return Backbone().extract(images).map(lambda tensor: tensor * weight)

    assert not FeatureCache(1).extract(batch(1), extract).tokens.requires_grad
