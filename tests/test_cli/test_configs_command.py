"""mmwsfs configs: the list, one printed, one copied."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from mmengine.config import Config

from mmwsfs.cli.configs import first_comment, main
from mmwsfs.utils.config_file import shipped_configs

NAME = 'vit-s_demo_1shot'


def test_the_list(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
                  ) -> None:
    """Every config, with the sentence that it begins with."""
    monkeypatch.setenv('COLUMNS', '300')
    main([])
    lines = capsys.readouterr().out.splitlines()[1:]
    paths = list(shipped_configs().values())
    assert [line.split()[0] for line in lines] == [path.stem for path in paths]
    for line, path in zip(lines, paths):
        assert first_comment(path) in line


def test_a_word(capsys: pytest.CaptureFixture) -> None:
    """Of name, folder or description, in any case; one that nothing has is refused."""
    main(['DEMO'])
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]
             if line.startswith('vit')]
    assert names == [NAME, f'{NAME}_mixed10']
    main(['mixed/'])
    assert 'resnet50_cst_pascal5i_1shot_pixel' in capsys.readouterr().out
    with pytest.raises(SystemExit, match="has 'zebra' in its name or description"):
        main(['zebra'])


def test_show(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    """The whole config, with its bases, as a file that can be read again."""
    main(['--show', NAME])
    path = tmp_path / 'shown.py'
    path.write_text(capsys.readouterr().out)
    shown, config = (Config.fromfile(file) for file in (path, shipped_configs()[
        f'wsfs/{NAME}.py']))
    assert shown.to_dict() == config.to_dict()
    assert shown.model.neck.type == 'CorrelationTransformer'


def test_copy(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A small file on top of it, the same config until it is changed."""
    path = tmp_path / 'mine.py'
    main(['--copy', NAME, str(path)])
    assert str(path) in capsys.readouterr().out
    assert f"_base_ = 'mmwsfs::wsfs/{NAME}.py'" in path.read_text()
    mine = Config.fromfile(path)
    assert mine.to_dict() == Config.fromfile(
        shipped_configs()[f'wsfs/{NAME}.py']).to_dict()


def test_copy_refuses(tmp_path: Path) -> None:
    """What exists is kept; a strange name, folder or config is told."""
    path = tmp_path / 'mine.py'
    path.write_text('a = 1\n')
    with pytest.raises(SystemExit, match="mine.py' exists, and is not overwritten"):
        main(['--copy', NAME, str(path)])
    assert path.read_text() == 'a = 1\n'
    with pytest.raises(SystemExit, match="'mine' is no name of a config"):
        main(['--copy', NAME, 'mine'])
    with pytest.raises(SystemExit, match="mine.py' does not come with mmwsfs"):
        main(['--copy', str(path), str(tmp_path / 'other.py')])
    with pytest.raises(SystemExit, match="there is no config 'nothing'"):
        main(['--copy', 'nothing', str(tmp_path / 'other.py')])
    assert os.listdir(tmp_path) == ['mine.py']
