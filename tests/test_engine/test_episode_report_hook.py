"""EpisodeReportHook: the files that a test leaves."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from pathlib import Path

import mmengine
import mmseg
import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.runner import Runner
from PIL import Image

from mmwsfs import __version__
from mmwsfs.engine import EpisodeReportHook
from mmwsfs.evaluation.presence_quality import presence_curves, presence_predictions
from mmwsfs.utils.run_error import RunError
from mmwsfs.utils.run_identity import settings_digest


@pytest.fixture
def report_config(tiny_config: Config) -> Config:
    """``tiny_config`` with the hook, where the schedules have it."""
    tiny_config.default_hooks.report = dict(type='EpisodeReportHook')
    return tiny_config


def report_of(runner: Runner) -> dict:
    return json.loads((Path(runner.log_dir) / 'results.json').read_text())


def rows_of(runner: Runner) -> list[dict]:
    with open(Path(runner.log_dir) / 'episodes.csv', newline='') as file:
        return list(csv.DictReader(file))


def test_results(report_config: Config, tiny_voc: Path, tmp_path: Path) -> None:
    """The metrics that the run returned, and everything they follow from."""
    path = tmp_path / 'weights.pth'
    model = Runner.from_cfg(report_config).model
    torch.save(dict(state_dict=model.state_dict()), path)
    report_config.load_from = str(path)
    report_config.test_dataloader.dataset.update(way=2, shot=2, fold=1)
    report_config.test_evaluator.void = 'ignored'
    report_config.dump(tmp_path / 'my_config.py')
    cfg = Config.fromfile(tmp_path / 'my_config.py')
    cfg.experiment_name = 'second'
    runner = Runner.from_cfg(cfg)
    metrics = runner.test()
    report = report_of(runner)
    assert report.pop('seconds') > 0
    without_iou = report['dataset'].pop('classes_without_iou')
    classes = report['dataset']['classes']
    assert list(classes) == ['6', '7', '8', '9', '10']
    assert classes['6'] == runner.test_dataloader.dataset.metainfo['classes'][5]
    with_iou = [key[4:] for key in metrics if key.startswith('IoU.')]
    assert sorted(with_iou + without_iou) == sorted(classes.values())
    assert Image.open(Path(runner.log_dir) / 'presence.png').format == 'PNG'
    assert report == dict(
        metrics=metrics,
        presence=presence_curves(*presence_predictions(
            runner.test_evaluator.metrics[0].episodes)),
        intervals=dict(
            level=0.95, method='percentile bootstrap over episodes', resamples=1000,
            seed=0),
        void='ignored',
        protocol='FS-CS',
        supervision='image',
        dataset=dict(
            type='Pascal5iDataset', fold=1, way=2, shot=2, episodes=5, classes=classes,
            episode_choice='',
            settings=dict(
                type='Pascal5iDataset', data_root=str(tiny_voc), lists='splits/tiny',
                fold=1, split='val', num_episodes=5, way=2, shot=2)),
        checkpoint=dict(
            path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest()),
        selection='unknown',  # the file has weights alone
        config='my_config.py',
        settings_sha256=settings_digest(cfg),
        seed=3,
        versions=dict(
            mmwsfs=__version__, torch=torch.__version__,
            mmengine=mmengine.__version__, mmseg=mmseg.__version__))
    assert metrics['mIoU_low'] <= metrics['mIoU'] <= metrics['mIoU_high']


def test_episodes(report_config: Config) -> None:
    """The metrics can be computed again from the table of the episodes."""
    report_config.test_dataloader.dataset.update(way=2, shot=2)
    runner = Runner.from_cfg(report_config)
    metrics = runner.test()
    dataset = runner.test_dataloader.dataset
    classes, rows = dataset.metainfo['classes'], rows_of(runner)
    assert [int(row['episode']) for row in rows] == list(range(5))
    exact, areas = 0, {}
    for number, row in enumerate(rows):
        sample = dataset[number]['data_samples']
        assert row['query'] == sample.query_path
        right = []
        for way in (1, 2):
            assert int(row[f'class_id_{way}']) == sample.class_ids[way - 1]
            name = row[f'class_{way}']
            assert name == classes[sample.class_ids[way - 1] - 1]
            assert row[f'supports_{way}'].split('|') == sample.support_paths[way - 1]
            assert bool(int(row[f'present_{way}'])) == sample.gt_presence[way - 1]
            right.append(
                (float(row[f'score_{way}']) > 0.5) == sample.gt_presence[way - 1])
            both, either = int(row[f'intersection_{way}']), int(row[f'union_{way}'])
            assert float(row[f'iou_{way}'] or 0) == pytest.approx(
                100 * both / max(either, 1))
            before = areas.get(name, (0, 0))
            areas[name] = before[0] + both, before[1] + either
        assert bool(int(row['exact'])) == all(right)
        exact += all(right)
    assert metrics['exact_ratio'] == 100 * exact / 5
    ious = [100 * both / either for both, either in areas.values() if either]
    assert metrics['mIoU'] == pytest.approx(sum(ious) / len(ious))


@pytest.mark.parametrize('selection', ['base', 'novel'])
def test_by_what_a_checkpoint_was_chosen(
        report_config: Config, selection: str, tmp_path: Path) -> None:
    """The best, an earlier and the last checkpoint of a training; another test says."""
    val_dataset = dict(
        report_config.test_dataloader.dataset, selection=selection, num_episodes=3)
    report_config.update(
        val_dataloader=dict(report_config.test_dataloader, dataset=val_dataset),
        val_evaluator=dict(type='FewShotMetric'), val_cfg=dict(type='ValLoop'))
    report_config.train_cfg.val_interval = 2
    report_config.default_hooks.checkpoint = dict(
        type='CheckpointHook', by_epoch=False, interval=1, save_best='exact_ratio',
        rule='greater')
    runner = Runner.from_cfg(report_config)
    runner.train()
    runner.test()
    assert report_of(runner)['selection'] == 'none, last checkpoint'
    work = Path(report_config.work_dir)
    best, = work.glob('best_*.pth')
    for path, words in (
            (best, 'base' if selection == 'base' else 'novel (test classes)'),
            (work / 'iter_1.pth', 'none, checkpoint of step 1'),
            (work / 'iter_2.pth', 'none, last checkpoint')):
        cfg = report_config.copy()
        cfg.experiment_name = f'{tmp_path.name}_{path.stem}'
        cfg.load_from = str(path)
        # What the test's own config validates on says nothing.
        cfg.val_dataloader = cfg.val_evaluator = cfg.val_cfg = None
        test = Runner.from_cfg(cfg)
        test.test()
        assert report_of(test)['selection'] == words


def test_an_untrained_model(report_config: Config) -> None:
    """Nothing was chosen."""
    runner = Runner.from_cfg(report_config)
    runner.test()
    assert report_of(runner)['selection'] == 'none, untrained'


def test_a_test_of_base_classes(report_config: Config) -> None:
    """Is refused: it would stand in the table as one of novel classes."""
    report_config.test_dataloader.dataset.selection = 'base'
    with pytest.raises(RunError, match=r"test_dataloader\.dataset\.selection='base': a "
                       "test is of novel classes; set 'base' in val_dataloader"):
        Runner.from_cfg(report_config).test()


def test_chosen_episodes_are_told(report_config: Config) -> None:
    """In the report as in the table."""
    report_config.test_dataloader.dataset.update(
        augmentation='full', object_size=(0, 0.15), num_episodes=30)
    runner = Runner.from_cfg(report_config)
    runner.test()
    dataset = report_of(runner)['dataset']
    assert dataset['episode_choice'] == (
        'fully augmented, objects of 0 to 15 % of the image')
    assert 0 < dataset['episodes'] < 30
    assert dataset['settings']['object_size'] == [0, 0.15]


def test_a_name_that_is_no_text(report_config: Config) -> None:
    """A file name in another encoding costs nothing of a finished test's report."""
    runner = Runner.from_cfg(report_config)
    runner.test()
    runner.test_evaluator.metrics[0].episodes[2]['query'] = 'caf\udce9.jpg'
    for name in ('results.json', 'episodes.csv', 'episodes.json'):
        (Path(runner.log_dir) / name).unlink()
    hook, = (hook for hook in runner.hooks if isinstance(hook, EpisodeReportHook))
    hook.after_test_epoch(runner)
    assert rows_of(runner)[2]['query'] == r'caf\udce9.jpg' and report_of(runner)
    assert (Path(runner.log_dir) / 'episodes.json').exists()


def test_weights_of_no_file(report_config: Config, tmp_path: Path) -> None:
    """After training, the checkpoint it began with is not the one tested."""
    torch.save(
        dict(state_dict=Runner.from_cfg(report_config).model.state_dict()),
        tmp_path / 'start.pth')
    report_config.update(load_from=str(tmp_path / 'start.pth'), experiment_name='two')
    runner = Runner.from_cfg(report_config)
    runner.test()
    assert report_of(runner)['checkpoint']['path'] == str(tmp_path / 'start.pth')
    runner.train()
    runner.test()
    assert report_of(runner)['checkpoint'] is None
    assert report_of(runner)['config'] is None  # this config is of no file


def test_both_conventions_at_once(report_config: Config) -> None:
    """Of two metrics the report is the first's, and says which that is."""
    report_config.test_evaluator = [
        dict(type='FewShotMetric', void='ignored', prefix='ignored'),
        dict(type='FewShotMetric', void='background', prefix='background')]
    runner = Runner.from_cfg(report_config)
    metrics, report = runner.test(), report_of(runner)
    assert report['void'] == 'ignored'
    assert report['metrics']['mIoU'] == metrics['ignored/mIoU']
    assert metrics['ignored/mIoU'] != metrics['background/mIoU']


def test_the_main_process_writes(
        report_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another rank, whose metric has no results, leaves the files alone."""
    runner = Runner.from_cfg(report_config)
    hook = EpisodeReportHook()
    hook.before_test_epoch(runner)
    monkeypatch.setattr('mmengine.dist.utils.get_rank', lambda group=None: 1)
    hook.after_test_epoch(runner, metrics={})
    assert not {'results.json', 'episodes.csv'} & set(os.listdir(runner.log_dir))


class LengthMetric(BaseMetric):
    """Some other metric."""

    def process(self, data_batch: dict, data_samples: list) -> None:
        self.results.extend(data_samples)

    def compute_metrics(self, results: list) -> dict:
        return dict(length=len(results))


def test_other_metrics(
        report_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a FewShotMetric there is no report, and the log says so."""
    runner = Runner.from_cfg(report_config)
    runner.test_loop.evaluator.metrics = [LengthMetric()]
    warnings = []
    monkeypatch.setattr(runner.logger, 'warning', warnings.append)
    assert runner.test() == dict(length=5)
    assert 'no report' in warnings[-1]
    assert not {'results.json', 'episodes.csv'} & set(os.listdir(runner.log_dir))
