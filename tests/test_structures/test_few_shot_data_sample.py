"""FewShotDataSample: which fields there are, and what they take."""

import pytest
import torch

from mmwsfs.structures import FewShotDataSample

FIELDS = dict(
    gt_presence=torch.tensor([True, False]),
    support_masks=torch.ones(2, 3, 4, 4, dtype=torch.uint8),
    presence_scores=torch.tensor([0.3, 0.9]))


@pytest.mark.parametrize('name', list(FIELDS))
def test_field(name):
    """Absent until set, seen by 'in', to_dict(), to() and clone(), gone with del."""
    sample = FewShotDataSample(metainfo=dict(episode=3))
    assert name not in sample
    setattr(sample, name, FIELDS[name])
    assert name in sample
    assert torch.equal(getattr(sample, name), FIELDS[name])
    assert torch.equal(sample.to_dict()[name], FIELDS[name])
    assert sample.to_dict()['episode'] == 3
    assert getattr(sample.to('meta'), name).is_meta
    assert torch.equal(getattr(sample.clone(), name), FIELDS[name])
    delattr(sample, name)
    assert name not in sample


@pytest.mark.parametrize('name', list(FIELDS))
def test_field_is_a_tensor(name):
    """A list or an array would break far from here."""
    with pytest.raises(AssertionError):
        setattr(FewShotDataSample(), name, FIELDS[name].tolist())
