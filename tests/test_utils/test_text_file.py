"""text_file: text as editors and spreadsheets of any system save it."""
from __future__ import annotations

from pathlib import Path

import pytest

from mmwsfs.utils.text_file import decode_text, read_text

TEXT = 'a,Größe\r\n猫,🐈\n'


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
def test_what_is_read(tmp_path: Path, encoding: str) -> None:
    """The mark is no part of the text; line ends stay."""
    (tmp_path / 'a.txt').write_bytes(TEXT.encode(encoding))
    assert read_text(tmp_path / 'a.txt', 'list') == TEXT
    assert decode_text(TEXT.encode(encoding), 'a.txt', 'list') == TEXT


def test_utf_16_of_either_order() -> None:
    assert decode_text(b'\xff\xfea\0\xe4\0', 'a.txt', 'list') == 'aä'
    assert decode_text(b'\xfe\xff\0a\0\xe4', 'a.txt', 'list') == 'aä'


def test_no_content() -> None:
    assert decode_text(b'', 'a.txt', 'list') == ''
    assert decode_text('\ufeff'.encode(), 'a.txt', 'list') == ''


@pytest.mark.parametrize('content', [
    'Größe'.encode('latin-1'), TEXT.encode('utf-16-le'), 'abc'.encode('utf-16-le'),
    'abc'.encode('utf-16-be'), 'abc'.encode('utf-32'), b'\xff\xfea', b'\x89PNG\r\n',
    b'a\0b', TEXT.encode()[:-2]])
def test_what_is_no_text(tmp_path: Path, content: bytes) -> None:
    """One error with the file's name and the mend, whatever it is."""
    path = tmp_path / 'a.txt'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=(
            rf"^split list '{path}' is no UTF-8 text: save it as UTF-8, or as UTF-16")):
        read_text(path, 'split list')


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / 'none.txt', 'list')
