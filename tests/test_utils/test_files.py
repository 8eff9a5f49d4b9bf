"""Files written whole, and told apart by their content."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mmwsfs.utils.files import file_sha256, write_whole


def test_write_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old file stays until the new one is complete, and nothing lies about."""
    path = tmp_path / 'new/file.txt'
    write_whole(path, 'old')
    assert path.read_text() == 'old'

    def full_disk(self: Path, data: bytes) -> None:
        self.write_text(data[:2].decode())
        raise OSError('disk is full')

    with monkeypatch.context() as patch:
        patch.setattr(Path, 'write_bytes', full_disk)
        with pytest.raises(OSError, match='full'):
            write_whole(path, 'fresh')
    assert path.read_text() == 'old' and list(path.parent.iterdir()) == [path]
    write_whole(path, 'é\n')
    assert path.read_bytes() == 'é\n'.encode() and list(path.parent.iterdir()) == [path]


def test_sha256(tmp_path: Path) -> None:
    """Of the whole file, also of one longer than a block."""
    data = bytes(range(256)) * 5000
    (tmp_path / 'file').write_bytes(data)
    assert file_sha256(tmp_path / 'file') == hashlib.sha256(data).hexdigest()
