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


@pytest.mark.parametrize('name', (
    'wsfs/vit-s_demo_1shot.py', 'wsfs/vit-s_own_1shot.py',
    'wsfs/dinov2-vit-s_pascal5i_1shot_quick_plus.py',
    'rivals/prototypes_dinov2-vit-s_pascal5i.py'))
def test_copy(name: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """The same config, far from ours, until it is changed: on one base or several."""
    path = tmp_path / 'mine.py'
    main(['--copy', Path(name).stem, str(path)])
    assert str(path) in capsys.readouterr().out
    assert "'mmwsfs::" in path.read_text() and "'.." not in path.read_text()
    mine, ours = Config.fromfile(path), Config.fromfile(shipped_configs()[name])
    assert without_scope(mine.to_dict()) == without_scope(ours.to_dict())


def without_scope(value: object) -> object:
    """MMEngine notes with what comes from another package that it does."""
    if isinstance(value, dict):
        return {key: without_scope(part) for key, part in value.items()
                if key != '_scope_'}
    return [*map(without_scope, value)] if isinstance(value, (list, tuple)) else value


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
