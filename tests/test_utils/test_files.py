"""Files written whole, and told apart by their content."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest

from mmwsfs.utils.files import file_sha256, whole_file, write_whole


def test_write_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old file stays until the new one is complete, and nothing lies about."""
    path = tmp_path / 'new/file.txt'
    write_whole(path, 'old')
    assert path.read_text() == 'old'

    def full_disk(file: int) -> None:
        raise OSError(errno.ENOSPC, 'disk is full')

    with monkeypatch.context() as patch:
        patch.setattr(os, 'fsync', full_disk)
        with pytest.raises(OSError, match='full'):
            write_whole(path, 'fresh')
    assert path.read_text() == 'old' and list(path.parent.iterdir()) == [path]
    write_whole(path, 'é\n')
    assert path.read_bytes() == 'é\n'.encode() and list(path.parent.iterdir()) == [path]


def test_whole_file(tmp_path: Path) -> None:
    """The block's file takes the place of the old one at its end, if it ends well."""
    path = tmp_path / 'a/b/file.bin'
    for content in (b'old', b'new'):
        with whole_file(path) as temporary:
            assert temporary.parent == path.parent and not temporary.exists()
            temporary.write_bytes(content)
        assert path.read_bytes() == content
    with pytest.raises(RuntimeError, match='stop'), whole_file(path) as temporary:
        temporary.write_bytes(b'half')
        assert path.read_bytes() == b'new'
        raise RuntimeError('stop')
    with pytest.raises(FileNotFoundError), whole_file(path):
        pass  # nothing was written
    assert path.read_bytes() == b'new' and list(path.parent.iterdir()) == [path]


def test_two_writers_of_one_file(tmp_path: Path) -> None:
    """In one process too, each has a temporary file of its own."""
    path = tmp_path / 'file'
    with whole_file(path) as first, whole_file(path) as second:
        first.write_text('first')
        second.write_text('second')
    assert path.read_text() == 'first'  # the last to end
    assert list(tmp_path.iterdir()) == [path]


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """A file name in another encoding costs no report; JSON gives it back."""
    photo = tmp_path / os.fsdecode(b'caf\xe9.jpg')
    photo.write_bytes(b'')
    name = next(tmp_path.iterdir()).name
    path = tmp_path / 'report'
    write_whole(path, f'query,é\n{name},\ud83d\n')
    assert path.read_text('utf-8') == 'query,é\ncaf\\udce9.jpg,\\ud83d\n'
    for ascii_alone in (True, False):
        write_whole(path, json.dumps(dict(query=name), ensure_ascii=ascii_alone))
        read = json.loads(path.read_text('utf-8'))['query']
        assert (tmp_path / read).samefile(photo)


def test_sha256(tmp_path: Path) -> None:
    """Of the whole file, also of one longer than a block."""
    data = bytes(range(256)) * 5000
    (tmp_path / 'file').write_bytes(data)
    assert file_sha256(tmp_path / 'file') == hashlib.sha256(data).hexdigest()
