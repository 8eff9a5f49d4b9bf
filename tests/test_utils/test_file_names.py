"""file_names: a name is one name, however its letters are composed."""
from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from mmwsfs.utils.file_names import normal_name, on_disk, printable

FORMS = ('NFC', 'NFD')


def composed(form: str, name: str = 'Kühe/größer é.jpg') -> str:
    return unicodedata.normalize(form, name)


@pytest.mark.parametrize('form', FORMS)
def test_normal_name(form: str) -> None:
    assert normal_name(composed(form)) == composed('NFC') != composed('NFD')


@pytest.mark.parametrize('listed', FORMS)
@pytest.mark.parametrize('folder', FORMS)
@pytest.mark.parametrize('file', FORMS)
@pytest.mark.parametrize('relative', [False, True])
def test_a_file_is_found(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: str, folder: str,
        file: str, relative: bool) -> None:
    """Folder and file may each be composed in its own way."""
    monkeypatch.chdir(tmp_path)
    path = f"{composed(folder, 'Kühe')}/{composed(file, 'größer é.jpg')}"
    Path(path).parent.mkdir()
    Path(path).write_text('an image')
    root = '' if relative else f'{tmp_path}/'
    assert on_disk(root + composed(listed)) == root + path


def test_two_files_of_one_name_stay_two(tmp_path: Path) -> None:
    """Linux allows them: what is written exactly so is meant."""
    paths = [str(tmp_path / composed(form, 'ü.jpg')) for form in FORMS]
    for path in paths:
        Path(path).write_text(path)
    assert [on_disk(path) for path in paths] == paths


@pytest.mark.parametrize('name', ['a.jpg', 'ü.jpg', 'Kühe/a.jpg'])
def test_what_is_nowhere_keeps_its_name(tmp_path: Path, name: str) -> None:
    """The message of whoever looks for it then names what was asked for."""
    assert on_disk(str(tmp_path / name)) == str(tmp_path / name)


def test_names_that_are_no_utf_8() -> None:
    """Latin-1 bytes in a file's name can be printed, and other text is left alone."""
    name = os.fsdecode(b'gr\xf6sser.jpg')
    with pytest.raises(UnicodeEncodeError):
        name.encode()
    assert printable(name) == r'gr\udcf6sser.jpg'
    assert printable(composed('NFD')) == composed('NFD')
