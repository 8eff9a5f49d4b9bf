"""PseudoLabelEnhancer against section 7 of the method."""

import argparse

import pytest
import torch
import torch.nn.functional as F

from mmwsfs.models import PseudoLabelEnhancer
from mmwsfs.utils.checkpoint_file import write_checkpoint


@pytest.mark.parametrize('heads', [1, 6, 12])
def test_equals_the_restatement(heads):
    """Maps of mean 0 and deviation 1, then three padded 3x3 convolutions."""
    torch.manual_seed(0)
    enhancer = PseudoLabelEnhancer(num_heads=heads)
    maps = torch.rand(2, heads, 5, 7)
    weights = enhancer.state_dict()
    x = torch.empty_like(maps)
    for image in range(2):
        for head in range(heads):
            values = maps[image, head].flatten().tolist()
            mean = sum(values) / len(values)
            variance = sum((v - mean) ** 2 for v in values) / (len(values) - 1)
            x[image, head] = (maps[image, head] - mean) / variance**0.5
    for number in (0, 2, 4):
        x = F.conv2d(
            F.pad(x, [1] * 4), weights[f'layers.{number}.weight'],
            weights[f'layers.{number}.bias'])
        x = x.clamp_min(0) if number < 4 else x
    torch.testing.assert_close(enhancer(maps), x[:, 0])


def test_size():
    """About 156k parameters for six heads."""
    count = sum(p.numel() for p in PseudoLabelEnhancer(6).parameters())
    assert 155_000 < count < 157_000


def test_the_range_of_the_cosines_does_not_matter():
    """Backbones differ in it; a constant map is no division by 0."""
    enhancer, maps = PseudoLabelEnhancer(2), torch.rand(1, 2, 6, 6)
    torch.testing.assert_close(
        enhancer(maps), enhancer(0.1 * maps - 0.3), rtol=1e-4, atol=1e-5)
    assert enhancer(torch.ones(1, 2, 6, 6)).isfinite().all()


def pretrained(path, heads=6):
    return PseudoLabelEnhancer(
        heads, init_cfg=dict(type='Pretrained', checkpoint=str(path)))


def test_takes_a_trained_one(tmp_path):
    """What a mixed run wrote is read."""
    trained = PseudoLabelEnhancer(6)
    path = write_checkpoint(
        dict(state_dict=trained.state_dict(), meta=dict(iou=1.)), tmp_path / 'e.pth')
    other = pretrained(path)
    other.init_weights()
    assert other.pretrained and not trained.pretrained
    for name, value in trained.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)


@pytest.mark.parametrize('damage, error, message', [
    ('missing', FileNotFoundError, 'does not exist'),
    ('truncated', ValueError, 'truncated'),
    ('foreign', ValueError, r'refused.*argparse\.Namespace'),
    ('other network', ValueError, 'does not fit this enhancer'),
    ('no state dict', ValueError, 'holds no state dict'),
    ('heads', ValueError, 'of another shape'),
])
def test_other_files_are_refused(tmp_path, damage, error, message):
    """One clear error that names the file."""
    path = tmp_path / 'e.pth'
    if damage != 'missing':
        state = PseudoLabelEnhancer(4 if damage == 'heads' else 6).state_dict()
        beside = {}
        if damage == 'other network':
            state = {'a': torch.zeros(1)}
        elif damage == 'no state dict':
            state = [1, 2]
        elif damage == 'foreign':
            beside['args'] = argparse.Namespace()
        write_checkpoint(dict(state_dict=state, **beside), path)
    if damage == 'truncated':
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(error, match=message) as caught:
        pretrained(path).init_weights()
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)
