"""FeatureCache: right for every image, computed once, found by all that matters."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from mmwsfs.models import FeatureCache
from mmwsfs.structures import LazyImage, LazyImages, ViTFeatures

CPU = torch.device('cpu')
# One image's features in half precision, and its grid of two whole numbers.
ENTRY_BYTES = 2 * (2 * 5 * 4 + 2 * 2 + 2 * 4 * 2) + 16


class Extractor:
    """Features that say which image they are of, and a record of the calls."""

    def __init__(self) -> None:
        self.calls = []

    def __call__(self, images: torch.Tensor) -> ViTFeatures:
        self.calls.append(len(images))
        value = images.flatten(1).mean(dim=1)
        return ViTFeatures(*(
            (value.view(-1, *[1] * len(shape)) * factor).repeat(1, *shape)
            for shape, factor in (((2, 5, 4), 1), ((2, 2), 2), ((2, 4, 2), 3))),
            (2, 2))


@pytest.fixture
def extractor() -> Extractor:
    return Extractor()


@pytest.fixture
def backbone() -> torch.nn.Module:
    return torch.nn.Linear(2, 2)


def batch(*values: float) -> LazyImages:
    """Images of one value each, whose keys are the values."""
    images = np.empty(len(values), dtype=object)
    for index, value in enumerate(values):
        images[index] = LazyImage(
            str(value), (2, 2), lambda value=value: torch.full((3, 2, 2), float(value)))
    return LazyImages(images, lambda pixels: torch.stack(pixels))


def unreadable(*values: float) -> LazyImages:
    """The same images, that must not be read."""
    images = batch(*values)
    for index, image in enumerate(images.images):
        images.images[index] = LazyImage(
            image.key, image.size, lambda: pytest.fail('an image was read'))
    return images


def make(backbone: torch.nn.Module, **kwargs) -> FeatureCache:
    cache = FeatureCache(**kwargs)
    cache.bind(backbone)
    return cache


def assert_features(features: ViTFeatures, *values: float) -> None:
    """All tensors are of these images, rounded to half precision."""
    assert len(features) == len(values) and features.grid == (2, 2)
    for index, value in enumerate(values):
        for tensor, factor in (
                (features.tokens, 1), (features.cls_query, 2), (features.keys, 3)):
            assert tensor.dtype == torch.float16
            assert (tensor[index] == torch.tensor(float(value) * factor).half()).all()


def test_every_image_goes_through_the_backbone_once(backbone, extractor):
    """Images are found again, in any order, beside new ones and twice in a batch."""
    cache = make(backbone, ram_gb=1)
    assert_features(cache.extract(batch(1, 2, 3), CPU, extractor), 1, 2, 3)
    assert_features(cache.extract(unreadable(3, 1), CPU, extractor), 3, 1)
    assert_features(
        cache.extract(batch(2, 7, 7, 1, 8, 7), CPU, extractor), 2, 7, 7, 1, 8, 7)
    assert extractor.calls == [3, 2]
    assert len(cache) == 5


def test_a_later_run_reads_the_disk(backbone, extractor, tmp_path):
    """Nothing is computed or decoded again, and a batch is partly found."""
    settings = dict(disk_gb=1, folder=tmp_path)
    make(backbone, **settings).extract(batch(1, 2), CPU, extractor)
    cache = make(backbone, **settings)
    assert_features(cache.extract(unreadable(2, 1), CPU, extractor), 2, 1)
    assert_features(cache.extract(batch(3, 2), CPU, extractor), 3, 2)
    assert extractor.calls == [2, 1]
    assert len(cache) == 0  # no memory tier
    both = make(backbone, ram_gb=1, **settings)
    both.extract(unreadable(1, 2, 3), CPU, extractor)
    for path in tmp_path.rglob('*.features'):
        path.unlink()
    assert_features(both.extract(unreadable(3, 1, 2), CPU, extractor), 3, 1, 2)


@pytest.mark.parametrize('tiers', [dict(ram_gb=1), dict(disk_gb=1)])
@pytest.mark.parametrize('storage', ['float16', 'int8'])
def test_first_and_later_uses_are_equal(backbone, tmp_path, tiers, storage):
    """A result doesn't depend on what the cache holds: rounded at once."""
    cache = make(backbone, **tiers, folder=tmp_path, storage=storage)
    features = ViTFeatures(
        torch.randn(1, 2, 5, 4), torch.randn(1, 2, 2), torch.randn(1, 2, 4, 2), (2, 2))
    first = cache.extract(batch(1), CPU, lambda images: features)
    second = cache.extract(unreadable(1), CPU, lambda images: pytest.fail('computed'))
    for name in ('tokens', 'cls_query', 'keys'):
        assert torch.equal(getattr(first, name), getattr(second, name))
        assert not torch.equal(getattr(first, name).float(), getattr(features, name))
        torch.testing.assert_close(
            getattr(first, name).float(), getattr(features, name), rtol=1e-3, atol=2e-2)


def test_a_user_cannot_change_what_is_kept(backbone, extractor, tmp_path):
    """Features are given as copies."""
    for settings in (dict(ram_gb=1), dict(disk_gb=1, folder=tmp_path)):
        cache = make(backbone, **settings)
        for _ in range(3):
            features = cache.extract(batch(1), CPU, extractor)
            assert_features(features, 1)
            features.tokens.zero_()


def held_bytes(cache: FeatureCache) -> int:
    """Memory that the entries really keep alive, storages counted whole."""
    return sum(tensor.untyped_storage().nbytes()
               for entry in cache._entries.values() for tensor in entry.values())


def test_memory_is_bounded_and_the_longest_unused_goes_first(backbone, extractor):
    """Room for three: the fourth drops the one that was not used for longest."""
    cache = make(backbone, ram_gb=3.5 * ENTRY_BYTES / 2**30)
    cache.extract(batch(1, 2, 3), CPU, extractor)
    cache.extract(batch(1), CPU, extractor)
    cache.extract(batch(4), CPU, extractor)
    cache.extract(unreadable(1, 3, 4), CPU, extractor)
    assert extractor.calls == [3, 1]
    cache.extract(batch(2), CPU, extractor)
    assert extractor.calls == [3, 1, 1]
    for value in range(10, 40):
        cache.extract(batch(value, value + 1), CPU, extractor)
        assert held_bytes(cache) <= 3.5 * ENTRY_BYTES
    assert len(cache) == 3


@pytest.mark.parametrize('entries', [0.5, 1.5])
def test_a_batch_larger_than_the_cache_is_right(backbone, extractor, entries):
    """Too little room costs time, never a result."""
    cache = make(backbone, ram_gb=entries * ENTRY_BYTES / 2**30)
    for _ in range(2):
        assert_features(cache.extract(batch(1, 2, 3), CPU, extractor), 1, 2, 3)
        assert len(cache) == int(entries)


def test_a_full_disk_leaves_the_memory_tier(
        backbone, extractor, tmp_path, monkeypatch):
    """The run goes on, one warning later."""
    lines = []
    monkeypatch.setattr('mmwsfs.models.feature_cache.disk_store.print_log',
                        lambda line, *args, **kwargs: lines.append(line))

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr('torch.save', full)
    cache = make(backbone, ram_gb=1, disk_gb=1, folder=tmp_path)
    assert_features(cache.extract(batch(1, 2), CPU, extractor), 1, 2)
    assert_features(cache.extract(unreadable(1, 2), CPU, extractor), 1, 2)
    without = make(backbone, disk_gb=1, folder=tmp_path)
    for _ in range(2):
        assert_features(without.extract(batch(1, 2), CPU, extractor), 1, 2)
    assert len(lines) == 2  # one a cache
    assert cache.capacity == 2**30 and without.capacity == 0


def test_another_storage_or_precision_finds_nothing_old(
        backbone, extractor, tmp_path):
    """float16 and int8, single precision and autocast have entries of their own."""
    def run(storage: str = 'float16', amp: bool = False) -> None:
        cache = make(backbone, disk_gb=1, folder=tmp_path, storage=storage)
        with torch.autocast('cpu', torch.bfloat16, enabled=amp):
            cache.extract(batch(1), CPU, extractor)

    settings = [dict(), dict(storage='int8'), dict(amp=True),
                dict(storage='int8', amp=True)]
    for count, setting in enumerate(settings, 1):
        run(**setting)
        assert len(extractor.calls) == count
    for setting in settings:
        run(**setting)
    assert len(extractor.calls) == 4


def test_other_weights_find_nothing_old(extractor, backbone, tmp_path):
    """A bit of one weight is enough; the old weights find theirs again."""
    cache = make(backbone, ram_gb=1, disk_gb=1, folder=tmp_path)
    cache.extract(batch(1), CPU, extractor)
    old = backbone.weight.data[1, 1].item()
    backbone.weight.data[1, 1] = np.nextafter(np.float32(old), np.float32(9)).item()
    cache.bind(backbone)
    cache.extract(batch(1), CPU, extractor)
    assert len(extractor.calls) == 2
    backbone.weight.data[1, 1] = old
    cache.bind(backbone)
    cache.extract(unreadable(1), CPU, extractor)


def test_missing(backbone, extractor, tmp_path):
    """Each image that no tier holds, once."""
    for settings in (dict(ram_gb=1), dict(disk_gb=1, folder=tmp_path)):
        cache = make(backbone, **settings)
        cache.extract(batch(1, 2), CPU, extractor)
        missing = cache.missing(unreadable(5, 1, 3, 5).images, CPU)
        assert [image.key for image in missing] == ['5', '3']


def test_settings_are_checked(tmp_path):
    with pytest.raises(ValueError, match="unknown storage 'int4'.*float16"):
        FeatureCache(ram_gb=1, storage='int4')
    with pytest.raises(ValueError, match='ram_gb or disk_gb'):
        FeatureCache(folder=tmp_path / 'new')
    assert not (tmp_path / 'new').exists()
    with pytest.raises(RuntimeError, match=r'bind\(backbone\)'):
        FeatureCache(ram_gb=1).extract(unreadable(1), CPU, pytest.fail)


def test_the_folder_may_be_in_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    cache = FeatureCache(disk_gb=1)
    assert cache.disk.folder == Path(tmp_path / '.cache/mmwsfs/features')


def test_cached_features_are_out_of_the_graph(backbone):
    """No graph of the first pass is kept alive or trained through."""
    weight = torch.ones(1, requires_grad=True)
    cache = make(backbone, ram_gb=1)
    features = cache.extract(
        batch(1), CPU, lambda images: Extractor()(images).map(lambda x: x * weight))
    assert not features.tokens.requires_grad
