"""The supervision curve: its runs, numbers and files; trainings are made up."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import stats

REPOSITORY = Path(__file__).parents[2]
CONFIGS = 'configs/wsfs/dinov2-vit-s_pascal5i_1shot_quick'


@pytest.fixture
def curve(monkeypatch):
    """The tool as a module, run from the repository."""
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.syspath_prepend(str(REPOSITORY / 'tools/analysis_tools'))
    return import_module('supervision_curve')


def arguments(tmp_path, *more):
    return ['--image', f'{CONFIGS}.py', '--mixed', f'{CONFIGS}_mixed10.py',
            '--pixel', f'{CONFIGS}_pixel.py', '--work-dir', str(tmp_path), *more]


def test_interval(curve):
    """Student's t, against SciPy's own interval; one seed has none."""
    values = [20., 23., 21.5]
    found = curve.interval(values)
    low, high = stats.t.interval(
        0.95, 2, loc=np.mean(values), scale=np.std(values, ddof=1) / 3**0.5)
    assert (found['low'], found['high']) == pytest.approx((low, high))
    assert curve.interval([20.])['low'] is None


def test_points_differ_in_masks_alone(curve, tmp_path):
    """The same seed draws weights, episodes and the images with masks."""
    args = curve.parse_args(arguments(tmp_path, '--ratios', '0.1', '0.05'))
    points = curve.points(args)
    assert [point.name for point in points] == [
        'image', 'mixed-0.05', 'mixed-0.1', 'pixel']
    assert points[0].settings(3, ['a=1']) == ['randomness.seed=3', 'a=1']
    assert points[2].settings(3, []) == [
        'randomness.seed=3', 'train_dataloader.dataset.mask_seed=3',
        'train_dataloader.dataset.masks=0.1']


def test_files(curve, tmp_path, tiny_voc, monkeypatch):
    """Table, JSON and picture of made up results on real lists of images."""
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(tiny_voc))
    monkeypatch.setenv('MMWSFS_SPLITS', 'tiny')
    monkeypatch.setenv('MMWSFS_FOLD', '0')
    ran = []

    def run(point, seed, args):
        ran.append((point.name, seed))
        gain = dict(image=0, pixel=10).get(point.name, 4)
        return dict(
            lists='splits/tiny', episodes=[5],
            columns={'1w1s': dict(mean=dict(exact_ratio=60 + seed, mIoU=20 + gain))})

    monkeypatch.setattr(curve, 'run', run)
    curve.main(arguments(
        tmp_path, '--ratios', '0.5', '--seeds', '0', '1', '--folds', '0', '2'))
    assert ran == [(name, seed) for seed in (0, 1)
                   for name in ('image', 'mixed-0.5', 'pixel')]
    rows = json.loads((tmp_path / 'curve.json').read_text())['rows']
    assert [row['share'] for row in rows] == [0, pytest.approx(0.5, abs=0.05), 1]
    assert [row['mIoU']['mean'] for row in rows] == [20, 24, 30]
    assert rows[1]['mIoU_gain'] == dict(values=[4, 4], mean=4, low=4, high=4)
    table = (tmp_path / 'curve.md').read_text()
    assert '| tags alone | 0.0% |' in table
    assert '+10.0 (+10.0 to +10.0) |' in table
    with Image.open(tmp_path / 'curve.png') as picture:
        assert picture.size[0] > 800


def test_a_failed_run_names_its_log(curve, tmp_path, monkeypatch):
    """The rest of the curve stays as it is."""
    args = curve.parse_args(arguments(tmp_path))
    point = curve.Point('image', 'configs/none.py')
    with pytest.raises(RuntimeError, match='image, seed 0 failed.*run_folds.log'):
        curve.run(point, 0, args)
