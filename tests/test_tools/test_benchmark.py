"""tools/analysis_tools/benchmark.py: every row is measured, written and explained."""

from __future__ import annotations

import json
import math
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import torch
from mmengine.registry import init_default_scope

from mmwsfs.registry import MODELS

TOOLS = Path(__file__).parents[2] / 'tools/analysis_tools'


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tool as a module."""
    monkeypatch.syspath_prepend(str(TOOLS))
    return import_module('benchmark')


@pytest.fixture
def config(tiny_model: dict, tmp_path: Path) -> str:
    """A config file of the tiny model; the checkpoint that it names is not read."""
    tiny_model['backbone']['init_cfg'] = dict(type='Pretrained', checkpoint='none.pth')
    path = tmp_path / 'tiny.py'
    path.write_text(f'model = {tiny_model}\n')
    return str(path)


def test_every_row(benchmark: ModuleType, config: str, tmp_path: Path,
                   capsys: pytest.CaptureFixture) -> None:
    """JSON and Markdown have all rows, of finite numbers; many episodes add up."""
    out = tmp_path / 'out'
    benchmark.main(
        ['--config', config, '--img-size', '48', '--repeats', '2', '--full',
         '--episodes', '7', '--images', '3', '--profile', '--sweep', '--out', str(out)],
        run=benchmark.measure)
    report = json.loads((out / 'benchmark.json').read_text())
    rows = {row['name']: row for row in report['rows']}
    assert set(benchmark.EXPECTED) <= set(rows)
    assert sum(name.endswith(', full mask') for name in rows) == 4
    assert sum(name.endswith(', bfloat16') for name in rows) == 4
    for name, row in rows.items():
        assert math.isfinite(row['value']) and row['value'] >= 0, name
        assert row['value'] > 0 or row['unit'] == 'GB', name
        assert row['published'] is row['target'] is None  # they are of another model
    for shot in (1, 5):
        assert rows[f'episodes {shot}-shot, extrapolated']['value'] == pytest.approx(
            3 * rows['features of one image']['value']
            + 7 * rows[f'1-way {shot}-shot episode, features cached']['value'])
        assert rows[f'episodes {shot}-shot, run']['value'] > 0
    kept = {rows[name]['kept_keys'] for name in rows if name.endswith('full mask')}
    assert kept == {'17 of 17'}
    name = 'neck + heads, forward + backward, per episode'
    assert int(rows[name]['kept_keys'].split()[0]) < 17
    assert set(report['machine']) >= {'cpu', 'cores', 'threads', 'torch', 'date'}
    assert report['T']['range'][0] <= report['T']['seconds'] <= report['T']['range'][1]

    text = (out / 'benchmark.md').read_text()
    assert text in capsys.readouterr().out
    for name in rows:
        label = f'7 {name}' if name.startswith('episodes') else name
        assert f'| {label} | ' in text
    assert ('3 x (features of one image) + 7 x (1-way 5-shot episode, features '
            'cached)') in text

    for work, parts in (('train', ('losses', 'optimiser')), ('predict', ('decision',))):
        profile = (out / f'profile_{work}.txt').read_text()
        for part in ('backbone', 'pseudo-masks', 'correlation attention',
                     'rest of neck', 'heads', *parts):
            assert f'\n{part} ' in profile, part
        assert '# of Calls' in profile and profile.count('aten::') > 5

    table = json.loads((out / 'sweep.json').read_text())
    assert {(row['axis'], row['cached']) for row in table} == {
        (axis, cached) for axis in ('img_size', 'way', 'shot', 'batch')
        for cached in (False, True)}
    assert all(row['seconds'] > 0 and row['memory'] >= 0 for row in table)
    assert (out / 'sweep.png').read_bytes().startswith(b'\x89PNG')


def test_extrapolation(benchmark: ModuleType) -> None:
    """Every image goes through the backbone once, every episode through the neck."""
    assert benchmark.extrapolate(346, 1000, 1.05, 0.1) == pytest.approx(463.3)


def test_a_process_of_its_own(benchmark: ModuleType, config: str,
                              monkeypatch: pytest.MonkeyPatch) -> None:
    """It measures memory above its imports; what fails says why."""
    job = benchmark.Job(
        'train', config, 48, repeats=1, batch=2, object_share=1.)
    result = benchmark.run_job(job)
    assert len(result['seconds']) == len(result['reference']) == 1
    assert 0 < result['memory']['inputs'] < result['memory']['peak'] < 2e9
    monkeypatch.setattr('sys.executable', 'false')
    with pytest.raises(RuntimeError, match='exit status 1'):
        benchmark.run_job(job)


def test_what_is_measured(benchmark: ModuleType, config: str,
                          monkeypatch: pytest.MonkeyPatch) -> None:
    """Cached work leaves the backbone alone; the rest puts every image through it."""
    counts: list[int] = []
    init_default_scope('mmwsfs')
    backbone = MODELS.get('DINOVisionTransformer')
    extract = backbone.extract
    monkeypatch.setattr(
        backbone, 'extract',
        lambda self, images: counts.append(len(images)) or extract(self, images))
    workload = import_module('cost.workload')
    for settings, images in (
            (dict(work='extract'), 1), (dict(work='predict'), 2),
            (dict(work='predict', way=2, shot=5), 11), (dict(work='train', batch=2), 4),
            (dict(work='predict', shot=5, cached=True), 0),
            (dict(work='train', batch=2, cached=True), 0), (dict(work='neck'), 0),
            (dict(work='series', episodes=9, images=4), 4)):
        work = workload.Workload(benchmark.Job(config=config, img_size=48, **settings))
        work.run()
        if settings['work'] != 'series':
            counts.clear()
            work.run()
        assert sum(counts) == images, settings
        counts.clear()


def test_stages_give_the_gradients(benchmark: ModuleType, config: str) -> None:
    """The backward pass in pieces is the whole one."""
    workload, profiling = (
        import_module(f'cost.{name}') for name in ('workload', 'profiling'))
    gradients = []
    for staged in (False, True):
        job = benchmark.Job('train', config, 48, batch=2)
        work = workload.Workload(job)
        data = work.model.data_preprocessor(work.batch(), True)
        stages = profiling.Stages(work.model, job) if staged else None
        losses = work.model(**data, mode='loss')
        if staged:
            stages.backward(losses.values())
        else:
            sum(losses.values()).backward()
        gradients.append([
            p.grad for p in work.model.parameters() if p.requires_grad])
    for whole, pieces in zip(*gradients):
        assert whole.abs().max() > 0
        torch.testing.assert_close(pieces, whole)
