"""State dicts: found in a file whatever surrounds them, and compared strictly."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch

from mmwsfs.utils.state_dict import (
    check_state_dict,
    find_state_dict,
    invalid_values,
    read_state_dict,
)

WEIGHTS = dict(a=torch.arange(3.), b=torch.ones(2, 2))


@pytest.mark.parametrize('content', [
    WEIGHTS,
    dict(state_dict=WEIGHTS, meta=dict(epoch=3)),
    dict(model=WEIGHTS, optimizer=dict(lr=1.)),
    dict(teacher=WEIGHTS, student=dict(c=torch.ones(1))),
    dict(state_dict=dict(model=WEIGHTS)),
    dict(state_dict=WEIGHTS, message_hub=np.float64(3)),  # as MMEngine's log
])
def test_wrappers(tmp_path: Path, content: dict) -> None:
    """However the file's authors have packed it."""
    torch.save(content, tmp_path / 'a.pth')
    weights = read_state_dict(tmp_path / 'a.pth')
    assert weights.keys() == WEIGHTS.keys()
    assert all(torch.equal(weights[name], value) for name, value in WEIGHTS.items())


def test_a_parameter_named_like_a_wrapper() -> None:
    """A tensor is no further dict."""
    weights = dict(model=torch.ones(1))
    assert find_state_dict(dict(state_dict=weights)) == weights


@pytest.mark.parametrize('content', [
    [torch.ones(1)], torch.ones(1), dict(a=1), dict(state_dict=dict(a='b')),
    {1: torch.ones(1)}, dict(state_dict=None)])
def test_no_state_dict(tmp_path: Path, content: object) -> None:
    """Tensors without names, names without tensors."""
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r"a\.pth' holds no state dict of tensors"):
        read_state_dict(tmp_path / 'a.pth')


def test_bad_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence for a file that is missing, cut off or foreign; '~' is expanded."""
    monkeypatch.setenv('HOME', str(tmp_path))
    path = tmp_path / 'a.pth'
    with pytest.raises(FileNotFoundError, match=r"a\.pth' does not exist"):
        read_state_dict('~/a.pth')
    torch.save(dict(WEIGHTS, args=argparse.Namespace()), path)
    with pytest.raises(ValueError, match=r'a\.pth. is refused.*argparse\.Namespace'):
        read_state_dict('~/a.pth')
    torch.save(WEIGHTS, path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r'a\.pth. is truncated'):
        read_state_dict('~/a.pth')


def test_what_does_not_fit() -> None:
    """Missing, unknown and of another shape, by name; a long list is cut."""
    check_state_dict(WEIGHTS, WEIGHTS, 'file', 'mend')
    expected = dict(a=torch.ones(2), **{f'n{n}': torch.ones(1) for n in range(9)})
    with pytest.raises(ValueError) as error:
        check_state_dict(WEIGHTS, expected, 'file', 'mend it')
    assert str(error.value) == (
        'file (9 missing: n0, n1, n2, n3, n4, n5, n6, n7, ...; 1 unknown: b; '
        '1 of another shape: a (3,) instead of (2,)): mend it')


def test_what_is_no_number() -> None:
    """Of a training that failed: by name, and no checkpoint to go on from."""
    ruined = dict(
        a=torch.tensor([1., float('nan')]), b=torch.tensor(float('-inf')),
        c=torch.tensor([1]), d=torch.ones(2))
    assert invalid_values(dict(c=ruined['c'], d=ruined['d'])) == ''
    assert invalid_values(ruined) == '2 weights are NaN or infinite (a, b)'
    with pytest.raises(ValueError, match=r'2 weights are NaN or infinite \(a, b\): its '
                       'training had failed; take an earlier checkpoint'):
        check_state_dict(ruined, ruined, 'file', 'mend')
