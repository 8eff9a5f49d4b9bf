"""Checkpoint files: nothing in one is run, and none is half written."""
from __future__ import annotations

import argparse
import hashlib
import os
import pathlib
import pickle
import re
import sys
import traceback
import types
import warnings
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.hub import HASH_REGEX

from mmwsfs.utils.checkpoint_file import (
    Inert,
    check_target,
    read_checkpoint,
    write_checkpoint,
)


class Call:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'model.ckpt'


# ------------------------------------------------------------- reading
def test_inert_objects_are_not_made(
        path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What surrounds the weights may be of packages that are not even installed."""
    package, module = (
        types.ModuleType(name) for name in ('absent_package', 'absent_package.hooks'))
    module.Hook = type('Hook', (), dict(__module__=module.__name__))
    hook = module.Hook()
    hook.best = torch.ones(2)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, package.__name__, package)
        patch.setitem(sys.modules, module.__name__, module)
        torch.save(dict(
            state_dict=OrderedDict(a=torch.arange(3.)),
            hyper_parameters=argparse.Namespace(
                fold=1, root=pathlib.PurePosixPath('data'), rate=np.float64(1e-3),
                ids=np.arange(3), device=torch.device('cpu')),
            callbacks={module.Hook: dict(score=np.float32(0.5)), 'b': hook}), path)
    read = read_checkpoint(
        path, inert=('absent_package', 'argparse', 'numpy', 'pathlib'))
    assert torch.equal(read['state_dict']['a'], torch.arange(3.))
    assert isinstance(read['hyper_parameters'], Inert)
    assert not hasattr(read['hyper_parameters'], 'fold')
    (key, state), (_, other) = read['callbacks'].items()
    assert issubclass(key, Inert) and isinstance(state['score'], Inert)
    assert isinstance(other, Inert) and not hasattr(other, 'best')


def test_other_objects_are_named(path: Path) -> None:
    """All of them, so that one look says what the file is."""
    torch.save(dict(
        a=argparse.Namespace(b=1), c=np.float64(1), d=pathlib.PurePosixPath('e')), path)
    with pytest.raises(ValueError, match=r'model\.ckpt.*refused') as error:
        read_checkpoint(path, inert=('numpy', ))
    assert 'argparse.Namespace, pathlib' in str(error.value)
    assert 'numpy' not in str(error.value)


def test_known_objects_are_made(path: Path) -> None:
    """Known classes come as they are, and are forgotten after the call."""
    torch.save(dict(a=argparse.Namespace(b=1)), path)
    assert read_checkpoint(path, known=[argparse.Namespace])['a'].b == 1
    with pytest.raises(ValueError, match='argparse'):
        read_checkpoint(path)


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize(('function', 'refused'), [(os.mkdir, True), (np.save, False)])
def test_nothing_is_run(path: Path, function, refused: bool, zipped: bool) -> None:
    """A file that would write another: refused, or inert where its package is."""
    made = str(path.parent / 'made')
    call = Call(function, made) if refused else Call(function, made, 1)
    torch.save(dict(state_dict=dict(a=torch.ones(1)), b=call), path,
               _use_new_zipfile_serialization=zipped)
    if refused or not zipped:
        with pytest.raises(ValueError, match=r'model\.ckpt'):
            read_checkpoint(path, inert=('numpy', ))
    else:
        read = read_checkpoint(path, inert=('numpy', ))
        assert read['state_dict']['a'] == 1 and isinstance(read['b'], Inert)
    with pytest.raises(ValueError, match=r'model\.ckpt'):
        read_checkpoint(path)
    assert list(path.parent.iterdir()) == [path]
    # The file does write if it is trusted, or this test would say nothing.
    torch.load(path, weights_only=False)
    assert len(list(path.parent.iterdir())) == 2


def test_missing_file(path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'model\.ckpt. does not exist'):
        read_checkpoint(path)


@pytest.mark.parametrize('share', [0, 0.1, 0.5, 0.9, 0.999])
def test_truncated_file(path: Path, share: float) -> None:
    """Cut off anywhere, nothing of it is taken."""
    torch.save(dict(state_dict=dict(a=torch.ones(1000))), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:int(share * len(whole))])
    with pytest.raises(ValueError, match=r'model\.ckpt. is truncated'):
        read_checkpoint(path)


@pytest.mark.parametrize('zipped', [True, False])
def test_both_formats_are_read(path: Path, zipped: bool) -> None:
    """PyTorch's, before and since 1.6; foreign objects are named in either."""
    content = dict(state_dict=dict(a=torch.arange(3.)), epoch=2)
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    read = read_checkpoint(path)
    assert torch.equal(read['state_dict']['a'], torch.arange(3.)) and read['epoch'] == 2
    torch.save(dict(content, args=argparse.Namespace()), path,
               _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match='refused.*argparse.Namespace'):
        read_checkpoint(path)


@pytest.mark.parametrize('kind', ['foreign', 'older', 'pickle', 'cut'])
def test_one_sentence(path: Path, kind: str) -> None:
    """None of torch's paragraphs, colours or advice, not in the traceback either."""
    content = dict(state_dict=dict(a=torch.ones(100)), args=argparse.Namespace())
    torch.save(content, path, _use_new_zipfile_serialization=kind != 'older')
    if kind == 'pickle':
        path.write_bytes(pickle.dumps(content))
    elif kind == 'cut':
        path.write_bytes(path.read_bytes()[:500])
    with warnings.catch_warnings(record=True) as warned, pytest.raises(
            ValueError) as error:
        read_checkpoint(path)
    printed = ''.join(traceback.format_exception(error.value))
    for word in ('weights_only=', 'trust', '\x1b', 'Unpickling'):
        assert word not in printed
    assert str(error.value).count('\n') == 0 and str(path) in str(error.value)
    assert printed.count('Error: ') == 1 and not warned


def test_foreign_file(path: Path) -> None:
    path.write_text('<html>404 not found</html>')
    with pytest.raises(ValueError, match='no PyTorch checkpoint'):
        read_checkpoint(path)


# ------------------------------------------------------------- writing
def test_written_file_is_read_again(path: Path) -> None:
    """In a folder that did not exist, over what there was, with nothing beside."""
    path = path.parent / 'a/b/model.pth'
    for value in (1., 2.):
        assert write_checkpoint(dict(a=torch.tensor(value)), path) == path
    assert torch.load(path, weights_only=True)['a'] == 2
    assert list(path.parent.iterdir()) == [path]


def test_half_written_file_leaves_the_old_one(
        path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk costs no file that was there."""
    write_checkpoint(dict(a=1), path)
    before = path.read_bytes()

    def fill_disk(checkpoint, file):
        file.write(b'half')
        raise OSError('No space left on device')

    monkeypatch.setattr(torch, 'save', fill_disk)
    with pytest.raises(OSError, match='No space'):
        write_checkpoint(dict(a=2), path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(('name', 'stem'), [
    ('model.pth', 'model'), ('model', 'model'), ('v1.0', 'v1.0'),
    ('depth.pth', 'depth'),  # its letters before .pth are those of .pth
    ('model-0123abcd.pth', 'model-0123abcd')])
def test_hash_in_the_name(tmp_path: Path, name: str, stem: str) -> None:
    """The hash is that of the very file, where torch.hub looks for it."""
    path = write_checkpoint(dict(a=1), tmp_path / name, with_hash=True)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.name == f'{stem}-{digest[:8]}.pth'
    assert re.findall(HASH_REGEX, path.name)[-1] == digest[:8]
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_without_the_hash_stays(tmp_path: Path) -> None:
    """The name without the hash is another file's."""
    (tmp_path / 'a.pth').write_text('mine')
    path = write_checkpoint(dict(a=1), tmp_path / 'a.pth', with_hash=True)
    assert (tmp_path / 'a.pth').read_text() == 'mine'
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / 'a.pth', path])


def test_hash_depends_on_the_content_only(tmp_path: Path) -> None:
    """The same checkpoint under another name is the same file."""
    first, again, other = (
        write_checkpoint(dict(a=value), tmp_path / name, with_hash=True)
        for value, name in ((1, 'a.pth'), (1, 'b.pth'), (2, 'c.pth')))
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()
    assert first.name[2:] == again.name[2:] != other.name[2:]


def test_targets(tmp_path: Path) -> None:
    """What is to be read is not to be written, by whichever name; nor is a folder."""
    source, link = tmp_path / 'source.pth', tmp_path / 'link.pth'
    source.write_text('')
    link.symlink_to(source)
    check_target(tmp_path / 'new.pth', source)
    check_target(tmp_path / 'new.pth', tmp_path / 'absent.pth')
    for target in (source, link, tmp_path / '.' / source.name):
        with pytest.raises(ValueError, match='is the file to read'):
            check_target(target, tmp_path / 'absent.pth', source)
    with pytest.raises(ValueError, match='is a folder'):
        check_target(tmp_path, source)
