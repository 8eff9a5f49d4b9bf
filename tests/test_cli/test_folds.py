"""mmwsfs folds: all folds by one command, and the table of their means."""

from __future__ import annotations

import fcntl
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

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope

from mmwsfs.utils.state_dict import read_state_dict
from mmwsfs.visualization import EpisodeVisualizer

REPO = Path(__file__).parents[2]
CONFIG = """
_base_ = '{repository}/configs/wsfs/vit-s_pascal5i_1shot.py'
model = {model}
loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(
    **loader, batch_size=2, dataset=dict(img_size=32))
test_dataloader = dict(
    **loader, dataset=dict(num_episodes=6, img_size=32))
val_dataloader = dict(
    **loader, dataset=dict(num_episodes=3, img_size=32))
train_cfg = dict(max_iters=4, val_interval=4)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=2))
env_cfg = dict(dist_cfg=dict(backend='gloo'))
"""


@pytest.fixture
def run_folds(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The command's module, in a clean environment."""
    for name in ('MMWSFS_FOLD', 'MMWSFS_WAY', 'MMWSFS_SHOT', 'MMWSFS_PROTOCOL',
                 'MMWSFS_SELECTION', 'TORCH_FORCE_WEIGHTS_ONLY_LOAD', 'LOCAL_RANK'):
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)
    return import_module('mmwsfs.cli.folds')


@pytest.fixture
def config(tiny_voc: Path, tiny_model: dict, tmp_path: Path,
           monkeypatch: pytest.MonkeyPatch) -> Path:
    """The paper's config with the tiny model, on the tiny images."""
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(tiny_voc))
    monkeypatch.setenv('MMWSFS_SPLITS', 'tiny')
    path = tmp_path / 'tiny.py'
    path.write_text(CONFIG.format(
        repository=REPO, model=dict(tiny_model, _delete_=True)))
    return path


@pytest.fixture
def jobs(run_folds: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Has the trainings and tests run in this process, and lists them."""
    done: list[str] = []

    def execute(self, title: str, log: Path, tool: str, positional: list[str],
                arguments: list[str]) -> None:
        done.append(f'{tool} {log.parent.relative_to(self.args.work_dir)}')
        for named in (DefaultScope, EpisodeVisualizer, MessageHub, MMLogger):
            named._instance_dict.clear()  # a process of its own would have none
        import_module(f'mmwsfs.cli.{tool}').main(
            [self.args.config, *positional, *arguments])

    monkeypatch.setattr(run_folds.FoldRunner, 'execute', execute)
    # Most of a tiny run's time would go into the layout of the config that is dumped.
    monkeypatch.setattr(
        'yapf.yapflib.yapf_api.FormatCode', lambda text, **kwargs: (text, True))
    return done


@pytest.fixture
def run(run_folds: ModuleType, config: Path, tmp_path: Path) -> Callable[..., dict]:
    """Runs the tool in WORK_DIR ``tmp_path/'work'`` and gives its table.json."""
    def call(*arguments) -> dict:
        run_folds.main([
            str(config), '--work-dir', str(tmp_path / 'work'), *map(str, arguments)])
        return json.loads((tmp_path / 'work/table.json').read_text())
    return call


def report_of(folder: Path) -> dict:
    """The only report of a test's work dir."""
    path, = folder.glob('*/results.json')
    return json.loads(path.read_text())


def test_two_folds(
        run: Callable[..., dict], jobs: list[str], tmp_path: Path,
        capsys: pytest.CaptureFixture) -> None:
    """The table's means are those of the folds' reports, beside the published rows.

    A second call does nothing again; a test that is gone, or of other settings, is
    made anew.
    """
    work = tmp_path / 'work'
    arguments = ('--folds', 0, 2, '--way', 1, 2, '--shot', 1)
    table = run(*arguments)
    assert jobs == [
        'train fold0', 'test fold0/1w1s', 'test fold0/2w1s',
        'train fold2', 'test fold2/1w1s', 'test fold2/2w1s']
    assert table['folds'] == [0, 2] and table['supervision'] == 'image'
    assert list(table['columns']) == ['1w1s', '2w1s']
    for name, cell in table['columns'].items():
        reports = [report_of(work / f'fold{fold}' / name) for fold in (0, 2)]
        assert [report['dataset']['fold'] for report in reports] == [0, 2]
        assert {report['dataset']['way'] for report in reports} == {int(name[0])}
        assert cell['folds'] == dict(zip(('0', '2'), reports))
        for key in cell['mean']:
            first, second = (report['metrics'][key] for report in reports)
            assert cell['mean'][key] == pytest.approx((first + second) / 2)
        for report in reports:  # the best by validation, and there is one
            assert Path(report['checkpoint']['path']).name == 'best_mIoU_iter_4.pth'
    text = (work / 'table.md').read_text()
    assert text in capsys.readouterr().out
    means = [cell['mean'] for cell in table['columns'].values()]
    cells = ' | '.join(f"{m['exact_ratio']:.1f} / {m['mIoU']:.1f}" for m in means)
    cells += ''.join(
        f" | {m['presence_AUC']:.1f} / {m['ECE']:.1f}" for m in means)
    assert ('| **tiny.py (folds 0, 2 only)** | image | background '
            f'| novel (test classes) | {cells} |') in text
    assert ('| CST, DINO ViT-S/8 (Kang et al., CVPR 2023) | image | background '
            '| novel (test classes) | 79.9 / 33.2 | 64.6 / 31.9 |  |  |') in text
    assert '6 episodes a fold, lists `splits/tiny`' in text

    jobs.clear()
    assert run(*arguments) == table and not jobs
    for path in (work / 'fold2/2w1s').glob('*/results.json'):
        path.unlink()
    run(*arguments)
    assert jobs == ['test fold2/2w1s']
    jobs.clear()
    ignored = run('--folds', 0, '--cfg-options', 'test_evaluator.void=ignored')
    assert jobs == ['test fold0/1w1s']
    assert ignored['void'] == 'ignored' and not ignored['published']
    text = (work / 'table.md').read_text()
    assert 'CST' not in text and '| image | ignored |' in text
    assert '`--cfg-options test_evaluator.void=ignored`' in text


def test_a_training_cut_short_goes_on(
        run: Callable[..., dict], jobs: list[str], tmp_path: Path,
        capsys: pytest.CaptureFixture) -> None:
    """It resumes from the last whole checkpoint; other settings are refused."""
    fold = tmp_path / 'work/fold1'
    run('--folds', 1, '--cfg-options', 'train_cfg.max_iters=2')
    (fold / 'last_checkpoint').write_text(str(fold / 'iter_3.pth'))
    (fold / 'iter_3.pth').write_bytes((fold / 'iter_2.pth').read_bytes()[:999])
    jobs.clear()
    with pytest.raises(SystemExit, match='other settings of randomness, train_data'):
        run('--folds', 1, '--cfg-options', 'randomness.seed=7',
            'train_dataloader.batch_size=1')
    assert not jobs
    run('--folds', 1)
    assert jobs[0] == 'train fold1'
    logs = sorted(fold.glob('20*/*.log'))
    assert 'resumed epoch: 0, iter: 2' in logs[-1].read_text()
    assert (fold / 'iter_4.pth').is_file()


def test_mixed_precision(
        run: Callable[..., dict], jobs: list[str], tmp_path: Path) -> None:
    """A frozen backbone is in bfloat16, in the training, when it goes on, and in the
    tests; the configs in the work dirs say so."""
    work = tmp_path / 'work'
    run('--folds', 1, '--amp', '--cfg-options', 'train_cfg.max_iters=2')
    table = run('--folds', 1, '--amp')
    assert jobs.count('train fold1') == 2
    for folder in ('fold1', 'fold1/1w1s'):
        dumped = Config.fromfile(work / folder / 'tiny.py')
        assert dumped.model.backbone.dtype == 'bfloat16'
    for name, value in read_state_dict(work / 'fold1/iter_4.pth').items():
        if value.is_floating_point():
            assert (value.dtype == torch.bfloat16) == name.startswith('backbone.')
    jobs.clear()
    assert run('--folds', 1, '--amp') == table and not jobs
    with pytest.raises(SystemExit, match='other settings of model, optim_wrapper'):
        run('--folds', 1)
    # Whoever wants single precision says so; the test is another one.
    checkpoint = work / 'fold1/iter_4.pth'
    run('--folds', 1, '--amp', '--checkpoints', checkpoint, '--cfg-options',
        'model.backbone.dtype=float32')
    assert jobs == ['test fold1/1w1s']
    assert Config.fromfile(
        work / 'fold1/1w1s/tiny.py').model.backbone.dtype == 'float32'


def test_a_fair_selection(
        run: Callable[..., dict], jobs: list[str], tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    """The table tells it; a training that chose otherwise does not pass for it."""
    monkeypatch.setenv('MMWSFS_SELECTION', 'base')
    table = run('--folds', 3)
    assert table['selection'] == 'base'
    report = table['columns']['1w1s']['folds']['3']
    assert Path(report['checkpoint']['path']).name.startswith('best_mIoU')
    assert set(report['dataset']['classes']) == {'16', '17', '18', '19', '20'}
    assert 'checkpoint by' in (tmp_path / 'work/table.md').read_text()
    monkeypatch.setenv('MMWSFS_SELECTION', 'novel')
    with pytest.raises(SystemExit, match='other settings of val_dataloader.data'):
        run('--folds', 3)
    last = tmp_path / 'work/fold3/iter_4.pth'
    table = run('--folds', 3, '--checkpoints', last)
    assert table['selection'] == 'none, last checkpoint'


def test_given_checkpoints(
        run: Callable[..., dict], jobs: list[str], tmp_path: Path) -> None:
    """They are tested without training, each in its fold, and told apart by content."""
    run('--folds', 0, 3)
    work, files = tmp_path / 'work', [tmp_path / 'a.pth', tmp_path / 'b.pth']
    for fold, path in zip((3, 0), files):
        path.write_bytes((work / f'fold{fold}/iter_4.pth').read_bytes())
    jobs.clear()
    table = run('--folds', 0, 3, '--checkpoints', *files)
    assert jobs == ['test fold0/1w1s', 'test fold3/1w1s']
    reports = table['columns']['1w1s']['folds']
    assert [reports[fold]['checkpoint']['path'] for fold in '03'] == [
        str(path) for path in files]
    jobs.clear()
    run('--folds', 0, 3, '--test-only')
    assert not jobs
    with pytest.raises(SystemExit, match="fold1' holds no checkpoint"):
        run('--folds', 1, '--test-only')
    files[0].write_bytes(files[0].read_bytes()[:99])
    with pytest.raises(SystemExit, match=r"fold 0: '.*a\.pth' is missing or no"):
        run('--folds', 0, '--checkpoints', files[0])
    with pytest.raises(SystemExit):
        run('--folds', 0, 1, '--checkpoints', files[1])


def test_a_config_of_a_fixed_fold(
        run: Callable[..., dict], config: Path, jobs: list[str]) -> None:
    """It would give one fold's number for all: refused, before it costs anything."""
    config.write_text(config.read_text() + 'train_dataloader["dataset"]["fold"] = 0\n')
    with pytest.raises(SystemExit, match='fold from MMWSFS_FOLD: 1 was asked for, but'):
        run('--folds', 1)
    assert not jobs


def test_data_without_folds(run: Callable[..., dict], config: Path, jobs: list[str],
                            tmp_path: Path) -> None:
    """Refused before anything is trained, with what to do instead."""
    config.write_text(
        f"_base_ = '{REPO}/configs/wsfs/vit-s_own_1shot.py'\n")
    with pytest.raises(SystemExit, match=(
            r"mmwsfs folds: the FewShotFolderDataset of '.*tiny.py' has no folds .*: "
            'train it by tools/train.py and test it by tools/test.py')):
        run('--folds', 0, 1)
    assert not jobs and not list((tmp_path / 'work').glob('fold*'))


def test_a_config_of_a_fixed_way(
        run: Callable[..., dict], config: Path, jobs: list[str]) -> None:
    """The report tells what was tested, and it is believed."""
    config.write_text(config.read_text() + 'test_dataloader["dataset"]["way"] = 1\n')
    with pytest.raises(SystemExit, match='way from MMWSFS_WAY: 2 was asked for, but'):
        run('--folds', 1, '--way', 2)


TOOL = """
import fcntl, os, sys, time
from pathlib import Path
work = Path(sys.argv[sys.argv.index('--work-dir') + 1])
print('arguments', *sys.argv[1:], flush=True)
print('Iter(train) [  7/ 10]  lr: 1e-3  eta: 0:01:30  time: 1', flush=True)
{end}
"""


@pytest.fixture
def tool(run_folds: ModuleType, tmp_path: Path,
         monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a script in the place of ``-m mmwsfs``: the same, and how it ends."""
    def make(end: str) -> None:
        (tmp_path / 'tool.py').write_text(TOOL.format(end=end))
        monkeypatch.setattr(run_folds, 'COMMAND', (str(tmp_path / 'tool.py'),))
    return make


def test_a_failing_fold(
        run: Callable[..., dict], tool: Callable[[str], None], tmp_path: Path) -> None:
    """The message names fold, reason and log, which has the whole output."""
    tool("raise ValueError('no such thing')")
    log = tmp_path / 'work/fold2/train.log'
    with pytest.raises(SystemExit, match='fold 2: training failed with status 1: Value'
                       f'Error: no such thing\nlog: {log}\n'):
        run('--folds', 2, 3, '--cfg-options', 'train_cfg.max_iters=8')
    text = log.read_text()
    assert 'Traceback' in text and not (tmp_path / 'work/fold3').exists()
    arguments = text.splitlines()[0].split()
    assert arguments[1:] == [
        'train', str(tmp_path / 'tiny.py'), '--resume', '--work-dir', str(log.parent),
        '--fold', '2', '--way', '1', '--shot', '1', '--cfg-options',
        'train_cfg.max_iters=8']
    # A training that ends well but leaves nothing is no training.
    tool('')
    with pytest.raises(SystemExit, match='ended without its last checkpoint'):
        run('--folds', 2)


def test_progress(run_folds: ModuleType, tmp_path: Path) -> None:
    """The newest line of progress of this job, none of an earlier one's."""
    log = tmp_path / 'log'
    log.write_text('INFO - Iter(train) [ 50/100]  lr: 1.0e-03  eta: 0:00:10\nend\n')
    assert run_folds.progress(log, 0) == 'train 50/100, 0:00:10 left'
    begin = log.stat().st_size
    assert run_folds.progress(log, begin) == ''
    with log.open('a') as file:
        file.write('Iter(train) [100/100] eta: 0:00:00\nIter(val) [ 3/9] \nwords\n')
    assert run_folds.progress(log, begin) == 'val 3/9'


def test_reason(run_folds: ModuleType, tmp_path: Path) -> None:
    """The error itself, not what a launcher says after it; of this job's output."""
    log = tmp_path / 'log'
    log.write_text('KeyError: old\n')
    begin = log.stat().st_size
    assert run_folds.reason(log, begin) == 'no output'
    with log.open('a') as file:
        file.write('é\nsome.file is absent\n')
    assert run_folds.reason(log, begin) == 'some.file is absent'
    with log.open('a') as file:
        file.write(
            "[rank1]: ValueError: fold 7\n    raise ChildFailedError(\n"
            'torch.distributed.elastic.ChildFailedError: \n=====\n')
    assert run_folds.reason(log, begin) == '[rank1]: ValueError: fold 7'


def test_one_command_at_a_time(
        run: Callable[..., dict], run_folds: ModuleType, config: Path, tmp_path: Path,
        tool: Callable[[str], None]) -> None:
    """A job that outlives its killed parent still keeps others out of the work dir."""
    tool('time.sleep(600)')
    command = (
        'import sys; from mmwsfs.cli import folds; '
        f"folds.COMMAND = ('{tmp_path}/tool.py',); folds.main(sys.argv[1:])")
    parent = subprocess.Popen([
        sys.executable, '-c', command, str(config), '--work-dir',
        str(tmp_path / 'work'), '--folds', '0'])
    log = tmp_path / 'work/fold0/train.log'
    wait_for(lambda: log.exists() and 'eta' in log.read_text(), parent)
    child, = children(parent.pid)
    parent.kill()
    parent.wait()
    try:
        with pytest.raises(SystemExit, match='in use'):
            run('--folds', 1)
    finally:
        os.kill(child, signal.SIGKILL)
    wait_for(lambda: not locked(tmp_path / 'work'))


def test_killed_and_started_again(
        run: Callable[..., dict], jobs: list[str], config: Path,
        tmp_path: Path) -> None:
    """The real command, stopped in a real training: it ends the training, and the
    same command goes on where that was."""
    work = tmp_path / 'work'
    iters = 'train_cfg.max_iters=100000'
    parent = subprocess.Popen(
        [sys.executable, 'tools/run_folds.py', config, '--work-dir', work, '--folds',
         '0', '--cfg-options', iters, 'train_cfg.val_interval=100000'], cwd=REPO,
        stdout=subprocess.PIPE, text=True)
    wait_for(lambda: (work / 'fold0/last_checkpoint').exists(), parent)
    job, = children(parent.pid)
    parent.terminate()
    output, _ = parent.communicate(timeout=600)
    assert parent.returncode == 128 + signal.SIGTERM
    assert f'fold 0: training; log: {work}/fold0/train.log' in output
    wait_for(lambda: not locked(work))
    with pytest.raises(ProcessLookupError):
        os.kill(job, 0)
    reached = int(Path(
        (work / 'fold0/last_checkpoint').read_text()).stem.removeprefix('iter_'))
    table = run(
        '--folds', 0, '--cfg-options', f'train_cfg.max_iters={reached + 2}',
        f'train_cfg.val_interval={reached + 2}')
    assert jobs == ['train fold0', 'test fold0/1w1s']
    log = sorted((work / 'fold0').glob('20*/*.log'))[-1].read_text()
    assert f'iter: {reached}' in log and f'[{reached + 2}/{reached + 2}]' in log
    assert table['columns']['1w1s']['folds']['0']['checkpoint']['path'].endswith(
        f'best_mIoU_iter_{reached + 2}.pth')


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(child) for child in Path(
        f'/proc/{pid}/task/{pid}/children').read_text().split()]


def locked(work_dir: Path) -> bool:
    with open(work_dir / '.lock') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def wait_for(condition: Callable[[], bool],
             process: subprocess.Popen | None = None) -> None:
    """Wait ten minutes at most; not for a process that has ended."""
    for _ in range(6000):
        if condition():
            return
        assert process is None or process.poll() is None
        time.sleep(0.1)
    raise AssertionError('waited for ten minutes')
