"""LazyImages: indexes and joins like a tensor, and reads when it is asked to; and
which images of a batch are distinct."""

from __future__ import annotations

import pickle
from functools import partial

import numpy as np
import pytest
import torch

from mmwsfs.structures import LazyImage, LazyImages, distinct_images

SIZE = (4, 6)


def pixels(number: int) -> torch.Tensor:
    return torch.full((3, *SIZE), number, dtype=torch.uint8)


def array(*shape: int) -> np.ndarray:
    images = np.empty(int(np.prod(shape)), dtype=object)
    for number in range(len(images)):
        images[number] = LazyImage(f'k{number}', SIZE, partial(pixels, number))
    return images.reshape(shape)


def test_takes_the_place_of_a_tensor():
    """Shape, length, indexing, flattening and joining agree with a tensor's."""
    lazy = LazyImages(array(2, 3, 2), torch.stack)
    whole = torch.stack([pixels(n) for n in range(12)]).view(2, 3, 2, 3, *SIZE)
    assert lazy.shape == whole.shape and len(lazy) == 2
    flat, flat_whole = lazy.flatten(), whole.flatten(0, 2)
    assert flat.keys() == [f'k{n}' for n in range(12)]
    assert torch.equal(flat.load(), flat_whole)
    assert torch.equal(flat[[3, 1, 3]].load(), flat_whole[[3, 1, 3]])
    assert torch.equal(lazy[1:].flatten().load(), whole[1:].flatten(0, 2))
    joined = LazyImages.cat([flat[:2], flat[9:]])
    assert joined.shape == (5, 3, *SIZE)
    assert torch.equal(joined.load(), torch.cat([flat_whole[:2], flat_whole[9:]]))


def test_reads_only_what_is_loaded():
    """One read for each image that is loaded, none for what is indexed."""
    reads = []

    def read(number: int) -> torch.Tensor:
        reads.append(number)
        return pixels(number)

    images = np.array(
        [LazyImage(str(n), SIZE, partial(read, n)) for n in range(4)], dtype=object)
    lazy = LazyImages(images, torch.stack)
    lazy.flatten(), lazy[1:], lazy.keys(), lazy.shape, LazyImages.cat([lazy, lazy])
    assert reads == []
    lazy[[2, 0]].load()
    assert reads == [2, 0]


def test_sizes_must_agree():
    images = array(2)
    images[1] = LazyImage('other', (4, 5), partial(pixels, 0))
    with pytest.raises(ValueError, match=r'\(4, 5\), \(4, 6\).*keep_ratio=False'):
        LazyImages(images, torch.stack)


def test_crosses_processes():
    """Workers send images by pickle."""
    image = pickle.loads(pickle.dumps(array(1)[0]))
    assert image.key == 'k0' and torch.equal(image.read(), pixels(0))


ORDERS = pytest.mark.parametrize('order, first, index', [
    ([0, 1, 2], [0, 1, 2], [0, 1, 2]),
    ([4, 4, 4], [0], [0, 0, 0]),
    ([3, 1, 3, 2, 1], [0, 1, 3], [0, 1, 0, 2, 1])])


@ORDERS
def test_distinct_tensors(order, first, index):
    """Equal are those of equal pixels, wherever they lie."""
    pool = torch.randn(5, 3, *SIZE, generator=torch.manual_seed(0))
    assert distinct_images(pool[order]) == (first, index)


@ORDERS
def test_distinct_lazy_images(order, first, index):
    """Equal are those of equal keys; no pixel is read."""
    pool = np.array([
        LazyImage(f'k{number}', SIZE, lambda: pytest.fail('read'))
        for number in range(5)], dtype=object)
    assert distinct_images(LazyImages(pool[order], torch.stack)) == (first, index)


def test_tensors_of_equal_sums_are_not_equal():
    """The same values in another order are another image."""
    image = torch.arange(3. * 4 * 6).view(3, 4, 6)
    images = torch.stack([image, image.flip(2), image, image.flip(1), image.flip(2)])
    assert distinct_images(images) == ([0, 1, 3], [0, 1, 0, 2, 1])
