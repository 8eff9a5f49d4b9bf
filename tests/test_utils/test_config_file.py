"""Configs by name, in a checkout and in a wheel."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mmwsfs.utils import config_file
from mmwsfs.utils.config_file import config_path, shipped_configs

NAME = 'vit-s_pascal5i_1shot'
FILE = f'wsfs/{NAME}.py'


def test_a_name_means_one_config() -> None:
    """No two configs share a name, whatever their folders; parts are none."""
    stems = [path.stem for path in shipped_configs().values()]
    assert len(stems) == len(set(stems)) > 50
    assert 'default_runtime' not in stems


@pytest.mark.parametrize('text', [
    NAME, f'{NAME}.py', f'wsfs/{NAME}', FILE, f'mmwsfs::{FILE}', f'mmwsfs::{NAME}'])
def test_names(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every way to name a config, from any folder."""
    monkeypatch.chdir(tmp_path)
    assert Path(config_path(text)).samefile(
        Path(__file__).parents[2] / 'configs' / FILE)


def test_a_file_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays as it was given, even where it has the name of one of ours."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / f'{NAME}.py').write_text('a = 1\n')
    assert config_path(f'{NAME}.py') == f'{NAME}.py'
    assert config_path(f'mmwsfs::{NAME}.py') != f'{NAME}.py'


@pytest.mark.parametrize('text, near', [
    ('vit-s_pascal5i_1shto', rf' \(did you mean {NAME} or .*\)'),
    ('configs/wsfs/vit-s_pascal5i_1sho.py', rf' \(did you mean {NAME} or .*\)'),
    ('mmwsfs::zebra', ''), ('', ''), ('.', '')])
def test_unknown_names(text: str, near: str) -> None:
    """One sentence with the nearest names, if any are near."""
    with pytest.raises(
            FileNotFoundError, match=rf"^there is no config '{text}'{near}: give a fi"):
        config_path(text)


def test_in_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package's own ``.mim/configs``; without any there is one sentence."""
    package = tmp_path / 'mmwsfs'
    monkeypatch.setattr(config_file, 'PACKAGE', package)
    with pytest.raises(FileNotFoundError, match='has no configs beside it: install it'):
        config_path(NAME)
    shutil.copytree(
        Path(__file__).parents[2] / 'configs/wsfs', package / '.mim/configs/wsfs')
    assert config_path(NAME) == str(package / '.mim/configs' / FILE)
