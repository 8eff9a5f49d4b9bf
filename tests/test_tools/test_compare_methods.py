"""compare_methods.py: methods on the same episodes, and a table of what they got."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope

from mmwsfs.visualization import EpisodeVisualizer

REPO = Path(__file__).parents[2]


@pytest.fixture
def compare(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tool as a module, in a clean environment."""
    for name in ('MMWSFS_FOLD', 'MMWSFS_WAY', 'MMWSFS_SHOT', 'MMWSFS_PROTOCOL',
                 'TORCH_FORCE_WEIGHTS_ONLY_LOAD', 'LOCAL_RANK'):
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)
    monkeypatch.syspath_prepend(str(REPO / 'tools/analysis_tools'))
    return import_module('compare_methods')


@pytest.fixture
def jobs(compare: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Has the tests run in this process, and lists their folders."""
    done: list[str] = []

    def execute(arguments: list[str], log: Path) -> int:
        done.append('/'.join(log.parts[-3:-1]))
        for named in (DefaultScope, EpisodeVisualizer, MessageHub, MMLogger):
            named._instance_dict.clear()  # a process of its own would have none
        monkeypatch.setattr(sys, 'argv', ['test.py', *arguments])
        runpy.run_path(str(compare.TEST), run_name='__main__')
        return 0

    monkeypatch.setattr(compare, 'execute', execute)
    monkeypatch.setattr(Config, 'pretty_text', '')
    return done


@pytest.fixture
def write_config(tiny_voc: Path, tiny_model: dict, tmp_path: Path,
                 monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Writes a rival's config with the tiny backbone, on the tiny images."""
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(tiny_voc))
    monkeypatch.setenv('MMWSFS_SPLITS', 'tiny')

    def write(name: str, base: str, **dataset) -> str:
        settings = {**dict(num_episodes=6, img_size=32), **dataset}
        path = tmp_path / f'{name}.py'
        path.write_text(
            f"_base_ = '{REPO}/configs/rivals/{base}_dinov2-vit-s_pascal5i.py'\n"
            f"model = dict(backbone=dict(_delete_=True, **{tiny_model['backbone']}))\n"
            'test_dataloader = dict(num_workers=0, persistent_workers=False, '
            f'dataset={settings})\n')
        return str(path)
    return write


def test_table(compare, jobs, write_config, tmp_path: Path,
               capsys: pytest.CaptureFixture) -> None:
    """Two methods, each tested once whatever is asked again; what each was given."""
    arguments = [
        f"prototypes={write_config('a', 'prototypes')}",
        write_config('matching', 'matching'), '--work-dir', str(tmp_path / 'out')]
    compare.main(arguments)
    assert jobs == ['prototypes/fold0', 'matching/fold0']
    table = json.loads((tmp_path / 'out/comparison.json').read_text())
    text = (tmp_path / 'out/comparison.md').read_text()
    assert [row['method'] for row in table['rows']] == ['prototypes', 'matching']
    for row in table['rows']:
        metrics = table['reports']['0'][row['method']]['metrics']
        for key in ('exact_ratio', 'mIoU'):
            assert row['scores'][key] == dict(
                value=metrics[key], low=metrics[f'{key}_low'],
                high=metrics[f'{key}_high'])
            assert f'{metrics[key]:.1f} ({metrics[f"{key}_low"]:.1f} ..' in text
    assert '| no training | tag | no |' in text and '6 episodes' in text
    assert '| matching | 0 |' in text and 'matching' in capsys.readouterr().out
    compare.main(arguments)
    assert len(jobs) == 2
    compare.main([*arguments, '--cfg-options', 'model.likeness=0.9'])
    assert len(jobs) == 4


def test_other_episodes_are_refused(compare, jobs, write_config,
                                    tmp_path: Path) -> None:
    """Of another image size, with the key that differs."""
    with pytest.raises(SystemExit, match='b differ in test_dataloader.dataset.img_size'
                                         ', 32 and 48: compare configs'):
        compare.main([
            write_config('a', 'prototypes'),
            write_config('b', 'prototypes', img_size=48),
            '--work-dir', str(tmp_path / 'out')])


def test_a_trained_model_needs_a_checkpoint(compare, tmp_path: Path) -> None:
    """Before anything is tested; of a missing one the file is named."""
    config = str(REPO / 'configs/wsfs/dinov2-vit-s_pascal5i_1shot_quick.py')
    with pytest.raises(SystemExit, match='give CONFIG:CHECKPOINT'):
        compare.main([config, '--work-dir', str(tmp_path)])
    with pytest.raises(SystemExit, match="checkpoint 'none/2.pth' does not exist"):
        compare.main([
            f'{config}:none/{{fold}}.pth', '--folds', '2', '--work-dir', str(tmp_path)])


def test_names(compare) -> None:
    """Two of one name would share a folder."""
    method = compare.Method.parse('CST=a.py:b/{fold}.pth')
    assert method == compare.Method('CST', 'a.py', 'b/{fold}.pth')
    assert compare.Method.parse('x/a.py') == compare.Method('a', 'x/a.py', None)
    with pytest.raises(SystemExit):
        compare.parse_args(['x/a.py', 'y/a.py', '--work-dir', 'out'])


@pytest.mark.parametrize(('masks', 'supervision', 'expected'), [
    (None, 'pixel', ('no training', 'mask')), ('none', 'image', ('0 %', 'tag')),
    ('all', 'pixel', ('100 %', 'mask')), (0.05, 'mixed', ('5 %', 'tag, or mask')),
    ('some.txt', 'mixed', ('those of some.txt', 'tag, or mask'))])
def test_what_a_method_was_given(compare, masks, supervision, expected) -> None:
    """The columns beside the numbers."""
    found = compare.facts(dict(
        masks_in_training=masks, supervision=supervision, selection='base'))
    assert (found['masks_in_training'], found['support_needs']) == expected
    assert found['selection'] == 'base'


def test_means_over_folds(compare) -> None:
    """A row a fold, and their mean; a score that a report lacks has no column."""
    def report(value: float, **more: float) -> dict:
        return dict(
            masks_in_training='none', supervision='image', selection='base',
            metrics=dict(
                exact_ratio=value, exact_ratio_low=value - 1,
                exact_ratio_high=value + 1, **more))

    rows = compare.compare({1: {'a': report(60., presence_AUC=70.)},
                            2: {'a': report(64.)}})
    assert [row['fold'] for row in rows] == [1, 2, 'mean']
    assert rows[-1]['scores'] == dict(exact_ratio=dict(value=62.))
    header, body = compare.cells(rows)
    assert header[-2:] == ['exact ratio', 'presence AUC']
    assert body[0][-2:] == ['60.0 (59.0 .. 61.0)', '70.0']
    assert body[1][-1] == '' and body[2][-2] == '62.0'
