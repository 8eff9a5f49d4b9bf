"""What is stored comes back within half a step of its precision."""

from __future__ import annotations

import pytest
import torch

from mmwsfs.models.feature_cache.storage import decode, encode, num_bytes
from mmwsfs.structures import ViTFeatures

CPU = torch.device('cpu')


def features(scale: float = 1, dtype: torch.dtype = torch.float32) -> ViTFeatures:
    """One image's: 2 blocks, 3 heads of 4, 2 x 3 patches."""
    generator = torch.Generator().manual_seed(0)
    return ViTFeatures(
        *(scale * torch.randn(shape, generator=generator).to(dtype)
          for shape in ((1, 2, 7, 12), (1, 3, 4), (1, 3, 6, 4))), (2, 3))


def tensors(value: ViTFeatures) -> list[torch.Tensor]:
    return [value.tokens, value.cls_query, value.keys]


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    value = features(dtype=dtype)
    found = decode(encode(value, 'float16'), CPU)
    assert found.grid == (2, 3)
    for first, second in zip(tensors(found), tensors(value)):
        assert first.dtype == torch.float16
        assert torch.equal(first, second.half())


@pytest.mark.parametrize('scale', [1e-9, 1e-3, 1, 300])
def test_eight_bits(scale):
    """Within half a step of each vector's own scale, found value by value."""
    value = features(scale)
    encoded = encode(value, 'int8')
    found = decode(encoded, CPU)
    for name, first, second in zip(
            ('tokens', 'cls_query', 'keys'), tensors(found), tensors(value)):
        assert encoded[name].dtype == torch.int8
        for a, b in zip(first.flatten(0, -2), second.flatten(0, -2)):
            # A scale in half precision is off by up to 2^-11 of itself, and 127 clips.
            step = max(b.abs().max().item() / 127, 2**-14) * (1 + 2**-10)
            assert (a - b).abs().max() <= 0.5 * step + 127 * step * 2**-11


def test_a_vector_of_zeros():
    """Nothing is divided by zero."""
    value = features(0)
    for tensor in tensors(decode(encode(value, 'int8'), CPU)):
        assert not tensor.any()


@pytest.mark.parametrize('storage', ['float16', 'int8'])
def test_encoding_twice_changes_nothing_more(storage):
    """What was decoded is stored as it is."""
    once = decode(encode(features(), storage), CPU)
    twice = decode(encode(once, storage), CPU)
    for first, second in zip(tensors(once), tensors(twice)):
        torch.testing.assert_close(first, second, rtol=2**-10, atol=0)


def test_bytes_are_those_of_the_documented_sizes():
    """A token of ViT-S takes 9,984 bytes in half precision and 5,028 in 8 bits."""
    value = ViTFeatures(
        torch.ones(1, 12, 5, 384), torch.ones(1, 6, 64), torch.ones(1, 6, 4, 64),
        (2, 2))
    grid = 16
    assert num_bytes(encode(value, 'float16')) == 5 * 9984 + grid
    assert num_bytes(encode(value, 'int8')) == 5 * 5028 + grid


@pytest.mark.parametrize('storage', ['float16', 'int8'])
def test_no_batch_is_kept_alive(storage):
    """One image of a batch holds its own memory only, and no graph."""
    batch = ViTFeatures.cat([features(dtype=torch.float16)] * 50)
    batch.tokens.requires_grad_()
    encoded = encode(batch[3:4], storage)
    for value in encoded.values():
        assert value.untyped_storage().nbytes() == value.nbytes
        assert not value.requires_grad
