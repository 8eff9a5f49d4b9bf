"""The supervision curve: its configs, numbers and files; how it stops and goes on.

Trainings and tests are made up: a script stands in for tools/run_folds.py.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image
from scipy import stats

from mmwsfs.evaluation.results_table import results_table

REPOSITORY = Path(__file__).parents[2]
TOOLS = REPOSITORY / 'tools/analysis_tools'
CONFIGS = REPOSITORY / 'configs/wsfs'
CONFIG = 'dinov2-vit-s_pascal5i_1shot_quick'

# Begins, says so in a file, and ends as the environment says.
RUN_FOLDS = """
import os, shutil, sys, time
from pathlib import Path
folder = Path(sys.argv[sys.argv.index('--work-dir') + 1])
(folder / 'part').write_text(' '.join([str(os.getpid()), *sys.argv[1:]]))
os.replace(folder / 'part', folder / 'begun')
if os.environ['RUN'] == 'hang':
    time.sleep(600)
if folder.parent.name in os.environ['RUN']:
    sys.exit('run_folds.py: fold 1: training failed: no memory\\nlog: train.log')
shutil.copy(os.environ['TABLES'] + f'/{folder.parent.name}.json', folder / 'table.json')
"""


@pytest.fixture
def curve(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tool as a module, run from the repository."""
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.syspath_prepend(str(TOOLS))
    return import_module('supervision_curve')


def table(level: str, gain: float = 0., episodes: int = 1000,
          dataset: str = 'Pascal5iDataset') -> dict:
    """``table.json`` of folds 0 and 2, both ways."""
    lists = 'splits/pascal5i' if dataset == 'Pascal5iDataset' else 'splits/coco20i'
    masks = dict(support_masks=True) if level == 'pixel' else {}
    return results_table('mine.py', {(way, 1): {fold: dict(
        metrics=dict(exact_ratio=70. - 5 * way, mIoU=20. + gain + fold),
        void='background', protocol='FS-CS', supervision=level.partition('-')[0],
        selection='base',
        dataset=dict(
            type=dataset, fold=fold, episodes=episodes,
            settings=dict(lists=lists, **masks)))
        for fold in (0, 2)} for way in (1, 2)})


@pytest.fixture
def run_folds(curve: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
              ) -> Path:
    """A script in the place of run_folds.py, and the tables that it finds."""
    script = tmp_path / 'stub/run_folds.py'
    script.parent.mkdir()
    script.write_text(RUN_FOLDS)
    for level, gain in (('image', 0.), ('mixed-0.5', 4.), ('pixel', 10.)):
        (script.parent / f'{level}.json').write_text(json.dumps(table(level, gain)))
    monkeypatch.setattr('curve.runs.RUN_FOLDS', script)
    monkeypatch.setenv('TABLES', str(script.parent))
    monkeypatch.setenv('RUN', 'well')
    return script


@pytest.fixture
def draw(curve: ModuleType, run_folds: Path, tiny_voc: Path, tmp_path: Path,
         monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict]]:
    """Draws the curve of half the masks, on real lists, and gives its rows."""
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(tiny_voc))
    monkeypatch.setenv('MMWSFS_SPLITS', 'tiny')

    def call(*more: str) -> list[dict]:
        curve.main([
            CONFIG, '--work-dir', str(tmp_path / 'work'), '--folds', '0', '2',
            '--ratios', '0.5', *more])
        return json.loads((tmp_path / 'work/curve.json').read_text())['rows']
    return call


def test_interval(curve: ModuleType) -> None:
    """Student's t, against SciPy's own interval; one seed has none."""
    interval = import_module('curve.report').interval
    values = [20., 23., 21.5]
    found = interval(values)
    low, high = stats.t.interval(
        0.95, 2, loc=np.mean(values), scale=np.std(values, ddof=1) / 3**0.5)
    assert (found['low'], found['high']) == pytest.approx((low, high))
    assert interval([20.])['low'] is None


def test_points_differ_in_masks_alone(curve: ModuleType) -> None:
    """The same seed draws weights, episodes and the images with masks."""
    points = curve.parse_args([
        CONFIG, '--ratios', '0.1', '0.05', '--mixed', f'{CONFIG}_mixed10']).points
    assert [point.name for point in points] == [
        'image', 'mixed-0.05', 'mixed-0.1', 'pixel']
    assert points[0].settings(3, ['a=1']) == ['randomness.seed=3', 'a=1']
    assert points[2].settings(3, []) == [
        'randomness.seed=3', 'train_dataloader.dataset.mask_seed=3',
        'train_dataloader.dataset.masks=0.1']
    assert Path(points[2].config).stem == f'{CONFIG}_mixed10'
    assert Path(points[3].config).stem == CONFIG


@pytest.mark.parametrize('benchmark', ['pascal5i', 'coco20i'])
def test_configs_with_masks_follow_from_that_of_tags(
        curve: ModuleType, benchmark: str) -> None:
    """They are those that are written out for the paper's settings."""
    name = f'vit-s_{benchmark}_1shot'
    _, mixed, pixel = curve.parse_args([name, '--ratios', '0.1']).points
    for point, written in ((mixed, 'mixed10'), (pixel, 'pixel')):
        found = point.read(0, [])
        wanted = Config.fromfile(CONFIGS / f'{name}_{written}.py')
        wanted.merge_from_dict({'randomness.seed': 0})
        if point is mixed:
            wanted.train_dataloader.dataset.mask_seed = 0
            wanted.pop('enhanced_labeler')  # which it takes from there
            assert found.pop('custom_hooks') and wanted.pop('custom_hooks')  # look on
        assert found._cfg_dict.to_dict() == wanted._cfg_dict.to_dict()


@pytest.mark.parametrize(('arguments', 'words'), [
    ([f'{CONFIG}_pixel'], "of supervision 'pixel': give the config of tags alone"),
    ([CONFIG, '--jobs', '2', '--processes', '2'], 'only one of them above 1'),
    (['dinov4-vit-s'], "there is no config 'dinov4-vit-s'")])
def test_what_is_refused(curve: ModuleType, arguments: list[str], words: str,
                         capsys: pytest.CaptureFixture) -> None:
    """Before anything runs, in a sentence."""
    with pytest.raises(SystemExit) as end:
        curve.parse_args(arguments)
    assert words in capsys.readouterr().err + str(end.value)


def test_hooks_of_a_config_are_not_lost(
        curve: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Its equal with masks has to be given, then."""
    path = tmp_path / 'hooked.py'
    path.write_text(
        f"_base_ = '{CONFIGS / CONFIG}.py'\ncustom_hooks = [dict(type='EMAHook')]\n")
    with pytest.raises(SystemExit):
        curve.parse_args([str(path)])
    assert 'the custom_hooks EMAHook: say by --pixel' in capsys.readouterr().err
    assert curve.parse_args([str(path), '--pixel', f'{CONFIG}_pixel']).points


def test_files(draw: Callable[..., list[dict]], tmp_path: Path,
               capsys: pytest.CaptureFixture) -> None:
    """Table, JSON and picture of made up results on real lists of images."""
    rows = draw('--seeds', '0', '1')
    runs = [line.split(';')[0] for line in capsys.readouterr().out.splitlines()
            if 'run_folds.log' in line]
    assert runs == [f'{name}, seed {seed}' for seed in (0, 1)
                    for name in ('image', 'mixed-0.5', 'pixel')]
    assert [row['share'] for row in rows] == [0, pytest.approx(0.5, abs=0.05), 1]
    scores = [row['columns']['1w1s'] for row in rows]
    assert [cell['mIoU']['mean'] for cell in scores] == [21, 25, 31]
    assert scores[1]['mIoU_gain'] == dict(values=[4, 4], mean=4, low=4, high=4)
    text = (tmp_path / 'work/curve.md').read_text()
    assert '| tags alone | 0.0% | tag | 0, 1 | 65.0 (65.0 to 65.0) |' in text
    assert '| masks for all | 100.0% | mask |' in text
    assert '+10.0 (+10.0 to +10.0) |' in text
    with Image.open(tmp_path / 'work/curve.png') as picture:
        assert picture.size[0] > 800
    begun = (tmp_path / 'work/mixed-0.5/seed1/begun').read_text()
    assert ('--folds 0 2 --way 1 2 --processes 1 --cfg-options randomness.seed=1 '
            'train_dataloader.dataset.mask_seed=1') in begun


def test_published_rows(draw: Callable[..., list[dict]], tmp_path: Path) -> None:
    """They come before ours of the same labels, and it is said what differs."""
    draw()
    lines = (tmp_path / 'work/curve.md').read_text().splitlines()
    rows = [[cell.strip() for cell in line.split('|')[1:-1]]
            for line in lines if line.startswith('|')]
    assert [row[0].partition(' (')[0] for row in rows[2:]] == [
        'CST, DINO ViT-S/8', 'tags alone', 'masks for 50 %', 'CST, DINO ViT-S/8',
        'ASNet, ResNet-50', 'CST, DINOv2 ViT-S/14', 'EMAT, DINOv2 ViT-S/14',
        'masks for all']
    assert rows[2][1:] == ['0.0%', 'tag', '', '79.9', '33.2', '', '64.6', '31.9', '']
    assert rows[8][1:] == ['100.0%', 'mask', '', '', '', '', '82.7', '63.4', '']
    assert rows[4][3:] == ['0', '65.0', '25.0', '+4.0', '60.0', '25.0', '+4.0']
    assert lines[-1] == (
        'The published results are means over 4 folds. **Ours do not compare with '
        'them.**')


def test_a_failed_run_names_its_log(
        draw: Callable[..., list[dict]], tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    """The others go on, and the same command does what is left."""
    monkeypatch.setenv('RUN', 'mixed-0.5')
    log = tmp_path / 'work/mixed-0.5/seed0/run_folds.log'
    with pytest.raises(SystemExit, match=(
            '1 of 3 runs failed:\nmixed-0.5, seed 0 failed with status 1: fold 1: '
            f'training failed: no memory\nlog: {log}\nWhat is finished stays')):
        draw()
    rows = json.loads((tmp_path / 'work/curve.json').read_text())['rows']
    assert [row['name'] for row in rows] == ['image', 'pixel']
    monkeypatch.setenv('RUN', 'well')
    assert [row['name'] for row in draw()] == ['image', 'mixed-0.5', 'pixel']


def test_stopped(draw: Callable[..., list[dict]], tmp_path: Path,
                 monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM ends the running job as well, and starts no other."""
    monkeypatch.setenv('RUN', 'hang')
    begun = tmp_path / 'work/image/seed0/begun'
    killer = subprocess.Popen([sys.executable, '-c', (
        'import os, time, pathlib\n'
        f'while not pathlib.Path({str(begun)!r}).exists(): time.sleep(0.05)\n'
        f'os.kill({os.getpid()}, {int(signal.SIGTERM)})')])
    with pytest.raises(SystemExit) as end:
        draw()
    assert killer.wait() == 0 and end.value.code == 128 + signal.SIGTERM
    assert not (tmp_path / 'work/mixed-0.5').exists()
    monkeypatch.setenv('RUN', 'well')
    assert len(draw()) == 3  # nobody holds the lock


KILLED = """
import sys
sys.path.append({tools!r})
from pathlib import Path
from curve import runs
from curve.points import Point
from mmwsfs.utils.folder_lock import FolderLock
runs.RUN_FOLDS = Path({script!r})
work = Path({work!r})
list(runs.Runs(work, [], [], FolderLock(work, 'the first')).all(
    [(Point('image', 'none.py'), 0)], 1))
"""


def test_killed(draw: Callable[..., list[dict]], run_folds: Path, tmp_path: Path,
                monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has started keeps others out of the work dir, until that has ended."""
    monkeypatch.setenv('RUN', 'hang')
    work = tmp_path / 'work'
    parent = subprocess.Popen([sys.executable, '-c', KILLED.format(
        tools=str(TOOLS), script=str(run_folds), work=str(work))])
    while not (work / 'image/seed0/begun').exists():
        assert parent.poll() is None
        time.sleep(0.05)
    child = int((work / 'image/seed0/begun').read_text().split()[0])
    parent.kill()
    parent.wait()
    monkeypatch.setenv('RUN', 'well')
    try:
        with pytest.raises(SystemExit, match='is in use by the first'):
            draw()
    finally:
        os.kill(child, signal.SIGKILL)
    for _ in range(200):
        try:
            assert len(draw()) == 3
            return
        except SystemExit:
            time.sleep(0.05)
    raise AssertionError('still in use')
