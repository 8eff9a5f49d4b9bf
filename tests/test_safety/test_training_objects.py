"""The log's history in a checkpoint: read as it was written, and nothing beside it."""
from __future__ import annotations

import builtins
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from mmwsfs.utils.checkpoint_file import read_checkpoint
from mmwsfs.utils.training_objects import TRAINING_OBJECTS


class Reduced:
    """Is written as the call of a function."""

    def __init__(self, function, *args, state=None) -> None:
        self.reduced = (function, args, state)

    def __reduce__(self):
        return self.reduced


def read(path: Path) -> object:
    return read_checkpoint(path, known=TRAINING_OBJECTS)


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('times', [1, 2])
def test_round_trip(tmp_path: Path, zipped: bool, times: int) -> None:
    """Histories, arrays and scalars, also when they are written and read again."""
    content = dict(
        history=HistoryBuffer([1, 2.5], [1, 2], max_length=7), empty=HistoryBuffer(),
        scalar=np.float32(3), truth=np.bool_(True), whole=np.arange(6).reshape(2, 3),
        fortran=np.asfortranarray(np.arange(6.).reshape(2, 3)),
        big=np.arange(3, dtype='>i2'))
    found = content
    for _ in range(times):
        torch.save(
            found, tmp_path / 'x.pth', _use_new_zipfile_serialization=zipped)
        found = read(tmp_path / 'x.pth')
    for name in ('history', 'empty'):
        assert type(found[name]) is HistoryBuffer
        for ours, theirs in zip(found[name].data, content[name].data):
            assert type(ours) is np.ndarray and ours.dtype == theirs.dtype
            assert np.array_equal(ours, theirs)
    assert found['history'].max_length == 7
    assert found['history'].mean() == content['history'].mean()
    assert found['history'].statistics('max') == 2.5
    found['empty'].update(4.)  # what a training that goes on does
    assert found['empty'].current() == 4
    for name in ('scalar', 'truth', 'whole', 'fortran', 'big'):
        assert found[name].dtype.type is content[name].dtype.type
        assert np.array_equal(found[name], content[name])
    # Whoever reads the new file needs no class of ours.
    assert b'mmwsfs.utils' not in (tmp_path / 'x.pth').read_bytes()


@pytest.mark.parametrize('dtype', ['O', np.dtype('O'), '8V', '(3,)f4'])
def test_no_address_comes_from_a_file(tmp_path: Path, dtype: object) -> None:
    """MMEngine's list lets a file make an array of objects out of its own bytes: to
    look at one ends the process."""
    torch.save(dict(a=Reduced(np.ndarray, (1, ), dtype, bytes(8))), tmp_path / 'x.pth')
    try:
        found = read(tmp_path / 'x.pth')['a']
    except ValueError as error:
        assert 'x.pth' in str(error) and '\n' not in str(error)
    else:
        assert found.size == 0 and found.dtype == float


@pytest.mark.parametrize('content', [
    np.array([{}], dtype=object), np.array(['text']), np.array('2020', 'M8[Y]')[()],
    Reduced(np.dtype, 'f8', state=(3, 'xyz', None, None, None, -1, -1, 0)),
    Reduced(HistoryBuffer, [1.], [1]),
])
def test_other_objects_are_refused(tmp_path: Path, content: object) -> None:
    """Nothing but numbers; in one sentence that names the file."""
    torch.save(dict(a=content), tmp_path / 'x.pth')
    with pytest.raises(ValueError, match=r"checkpoint '.*x\.pth' is") as error:
        read(tmp_path / 'x.pth')
    assert '\n' not in str(error.value)


def test_getattr_reaches_nothing(tmp_path: Path) -> None:
    """MMEngine's list has it: by getattr(getattr, '__self__') a file had all there is,
    and could put its own things into it."""
    reached = Reduced(getattr, Reduced(getattr, HistoryBuffer, '__init__'),
                      '__globals__')
    for hostile in (reached, Reduced(getattr, builtins.getattr, '__self__')):
        torch.save(dict(a=hostile), tmp_path / 'x.pth')
        with pytest.raises(ValueError, match=r'x\.pth. is refused.*builtins\.getattr'):
            read(tmp_path / 'x.pth')


def test_statistics_of_a_file_do_not_become_those_of_all(tmp_path: Path) -> None:
    """A history writes the statistics of its class, and would set them again."""
    HistoryBuffer()  # sets the default ones
    before = dict(HistoryBuffer._statistics_methods)
    history = HistoryBuffer([2.], [1])
    try:
        HistoryBuffer._statistics_methods['mean'] = 'poison'
        torch.save(dict(a=history), tmp_path / 'x.pth')
    finally:
        HistoryBuffer._statistics_methods.update(before)
    assert read(tmp_path / 'x.pth')['a'].statistics('mean') == 2
    assert HistoryBuffer._statistics_methods == before


@pytest.mark.parametrize('state', [
    dict(), [1], dict(_log_history=[1.], _count_history=[1], max_length=3),
    dict(_log_history=np.ones(1), _count_history=np.ones(1), max_length='x')])
def test_damaged_history(tmp_path: Path, state: object, monkeypatch) -> None:
    """One sentence, whatever stands where a history should be."""
    monkeypatch.setattr(HistoryBuffer, '__getstate__', lambda self: state)
    torch.save(dict(a=HistoryBuffer()), tmp_path / 'x.pth')
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"checkpoint '.*x\.pth' is truncated"):
        read(tmp_path / 'x.pth')
