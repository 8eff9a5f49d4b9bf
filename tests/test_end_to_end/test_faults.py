"""Faults end a run in one message, and cost no checkpoint."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from interrupted import ITERS, nth_call
from mmengine.runner import IterBasedTrainLoop
from tool_runs import MMSEG_TOOLS, REPOSITORY, environment

from mmwsfs.models import FewShotClsHead, FewShotSegmentor
from mmwsfs.utils.folder_lock import FolderLock
from mmwsfs.utils.state_dict import read_state_dict


def contents(folder: Path) -> dict[str, bytes]:
    """The checkpoints of a work dir, and which is the last."""
    return {path.name: path.read_bytes()
            for path in (*folder.glob('*.pth'), folder / 'last_checkpoint')}


# ------------------------------------------------------------- NaN
def poison(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Make the ``count``-th loss NaN."""
    original, calls = FewShotClsHead.loss, []

    def loss(*args) -> dict:
        losses = original(*args)
        calls.append(1)
        if len(calls) == count:
            losses = {name: value * float('nan') for name, value in losses.items()}
        return losses

    monkeypatch.setattr(FewShotClsHead, 'loss', loss)


def test_nan_loss(train: Callable[..., None], half: Path,
                  monkeypatch: pytest.MonkeyPatch, small_training: tuple[Path, Path]
                  ) -> None:
    """Training stops in that step, names the episodes, and writes nothing more."""
    before = contents(half)
    poison(monkeypatch, 2)  # in the step whose checkpoint is due
    with pytest.raises(SystemExit) as end:
        train(half)
    message = str(end.value)
    assert message.startswith('train.py: iteration 6: the loss is not finite (')
    images = re.findall(r"'([^']+\.jpg)'", message)
    assert len(images) == 2 * 4 and all(Path(path).is_file() for path in images)
    assert all(path.startswith(str(small_training[1])) for path in images)
    assert f"the last good one is '{half}/iter_4.pth'" in message
    assert contents(half) == before
    logs = ''.join(path.read_text() for path in half.glob('20*/vis_data/*.json'))
    assert 'NaN' not in logs


def test_nan_weights(train: Callable[..., None], half: Path,
                     monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that ruins the weights, though its loss was finite, is not kept."""
    before = contents(half)

    def ruin(model: FewShotSegmentor, *args, **kwargs) -> dict:
        outputs = original(model, *args, **kwargs)
        with torch.no_grad():
            next(model.neck.parameters()).fill_(float('nan'))
        return outputs

    original = FewShotSegmentor.train_step
    monkeypatch.setattr(FewShotSegmentor, 'train_step', ruin)
    with pytest.raises(SystemExit, match='train.py: iteration [56]: .* (NaN|not finite)'
                       ) as end:
        train(half, '--cfg-options', 'default_hooks.checkpoint.interval=1')
    assert 'weights are NaN or infinite (neck.' in str(end.value)
    assert contents(half) == before


def test_nan_checkpoint(train: Callable[..., None], half: Path,
                        run_tool: Callable[..., None],
                        small_training: tuple[Path, Path], tmp_path: Path) -> None:
    """One that was written elsewhere is refused, by name, wherever it is given."""
    path = tmp_path / 'ruined.pth'
    weights = read_state_dict(half / 'iter_4.pth')
    weights['neck.blocks.0.qkv.weight'][0, 0] = float('inf')
    torch.save(dict(state_dict=weights), path)
    image = str(next(small_training[1].rglob('*.jpg')))
    with pytest.raises(SystemExit, match=rf"predict.py: '{path}': 1 weights are NaN"):
        run_tool('demo/predict.py', small_training[0], path, image, '--support',
                 f'cat={image}', '--out', tmp_path / 'out')
    assert not (tmp_path / 'out').exists()
    with pytest.raises(SystemExit, match=f"checkpoint '{path}': 1 weights are NaN or "):
        run_tool('tools/test.py', small_training[0], path, '--work-dir',
                 tmp_path / 'test')


# ------------------------------------------------------------- disk and memory
def test_full_disk(train: Callable[..., None], half: Path) -> None:
    """The checkpoint that has no room leaves the one before, and the rest goes on."""
    before = contents(half)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        with pytest.raises(SystemExit) as end:
            train(half)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(end.value) == (
        f"train.py: '{half}/iter_6.pth' cannot be written: File too large. Make room; "
        'the last checkpoint is whole, and --resume goes on from it')
    assert contents(half) == before and not list(half.glob('*.part'))
    train(half)
    assert (half / f'iter_{ITERS}.pth').is_file()


@pytest.mark.parametrize('error', [
    torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB'), None])
def test_out_of_memory(train: Callable[..., None], half: Path,
                       monkeypatch: pytest.MonkeyPatch, error: Exception | None
                       ) -> None:
    """The settings that would need less, with their values; a CPU's allocator too."""
    def allocate() -> None:
        if error is not None:
            raise error
        torch.empty(2**55)

    before = contents(half)
    nth_call(monkeypatch, FewShotSegmentor, 'loss', 1, allocate)
    with pytest.raises(SystemExit, match='^train.py: out of memory') as end:
        train(half)
    for words in ('train_dataloader.batch_size=4', 'dataset.img_size=224', '--amp'):
        assert words in str(end.value)
    assert ('on the GPU' in str(end.value)) == (error is not None)
    assert ('ram_gb=4' in str(end.value)) == (error is None)
    assert contents(half) == before


def test_unwritable_work_dir(train: Callable[..., None], tmp_path: Path) -> None:
    """Said before anything is loaded."""
    (tmp_path / 'file').write_text('')
    with pytest.raises(SystemExit, match=f"the work dir '{tmp_path}/file/x' cannot be "
                       'written: Not a directory'):
        train(tmp_path / 'file/x')


# ------------------------------------------------------------- data
@pytest.mark.parametrize(('cached', 'workers'), [(True, 0), (False, 1)])
def test_image_cut_off(train: Callable[..., None], tmp_path: Path,
                       small_training: tuple[Path, Path],
                       monkeypatch: pytest.MonkeyPatch, cached: bool, workers: int
                       ) -> None:
    """It is named, also where a worker reads it, without the worker's trace."""
    shutil.copytree(small_training[1] / 'demo_shapes', tmp_path / 'demo_shapes')
    for path in tmp_path.rglob('*_trn_*.jpg'):
        os.truncate(path, path.stat().st_size // 2)
    options = ['model.labeler.steps=0', f'train_dataloader.num_workers={workers}',
               f'train_dataloader.dataset.data_root={tmp_path}/demo_shapes']
    with pytest.raises(SystemExit) as end:
        train(tmp_path / 'work', '--cfg-options', *options,
              *([] if cached else ['model.cache=None', 'model.supervision=image']))
    assert re.fullmatch(
        rf"train.py: (episode \d+, )?image '{tmp_path}/demo_shapes/.*\.jpg': .*truncat"
        'ed.*', str(end.value))


def test_worker_that_dies(train: Callable[..., None], half: Path, tmp_path: Path,
                          monkeypatch: pytest.MonkeyPatch) -> None:
    """No hang: the run ends, and says what may have killed it."""
    def kill_a_worker() -> None:
        pid = Path(f'/proc/self/task/{os.getpid()}/children').read_text().split()[0]
        os.kill(int(pid), signal.SIGKILL)

    before = contents(half)
    nth_call(monkeypatch, IterBasedTrainLoop, 'run_iter', 1, kill_a_worker)
    pid = os.fork()  # PyTorch would interrupt this process again, at any time
    if pid == 0:
        try:
            train(half, '--cfg-options', 'train_dataloader.num_workers=1')
        except SystemExit as end:
            (tmp_path / 'said').write_text(str(end))
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    said = (tmp_path / 'said').read_text()
    assert re.match(r'train.py: a worker of a data loader died \(it (is killed by '
                    'signal: Killed|exited unexpectedly)', said)
    assert 'lower train_dataloader.num_workers' in said
    assert contents(half) == before


# ------------------------------------------------------------- two runs
@pytest.mark.parametrize('tool', ['tools/train.py', MMSEG_TOOLS / 'train.py'])
def test_two_trainings_in_a_folder(
        half: Path, run_tool: Callable[..., None], small_training: tuple[Path, Path],
        tool: str | Path) -> None:
    """The second refuses before it changes anything, and the lock leaves with its
    holder."""
    before = {path: path.stat().st_mtime_ns for path in half.rglob('*')}
    lock = FolderLock(half, 'a training')
    before[half / '.lock'] = (half / '.lock').stat().st_mtime_ns
    with pytest.raises((SystemExit, RuntimeError), match=(
            f"'{half}' is in use by a training, process {os.getpid()} on .*: wait")):
        run_tool(tool, small_training[0], '--work-dir', half)
    assert {path: path.stat().st_mtime_ns for path in half.rglob('*')} == before
    lock.release()


def test_two_runs_in_a_second(
        train: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
        ) -> None:
    """Each has a folder of its own."""
    now = time.time()
    monkeypatch.setattr('mmwsfs.engine.runner.careful_runner.time.time', lambda: now)
    for iters in (1, 2):
        train(tmp_path, '--cfg-options', f'train_cfg.max_iters={iters}')
    folders = sorted(path for path in tmp_path.glob('20*'))
    assert len(folders) == 2
    steps = [[json.loads(line)['step'] for line in (
        folder / 'vis_data/scalars.json').read_text().splitlines() if '"lr"' in line]
        for folder in folders]
    assert steps == [[1], [2]]


def test_a_process_killed_leaves_no_lock(half: Path) -> None:
    """Not even for as long as its workers live."""
    process = subprocess.Popen(
        [sys.executable, '-c',
         'import os, sys, time\nfrom pathlib import Path\n'
         'from mmwsfs.utils.folder_lock import FolderLock\n'
         f"lock = FolderLock(Path('{half}'), 'a training')\n"
         'if not os.fork():\n    print("held", flush=True)\ntime.sleep(60)\n'],
        stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, start_new_session=True,
        env=environment(PYTHONPATH=REPOSITORY))
    try:
        assert process.stdout.readline() == 'held\n'
        with pytest.raises(RuntimeError, match='in use by a training, process '
                           f'{process.pid} '):
            FolderLock(half, 'another')
        process.kill()
        process.wait()
        FolderLock(half, 'another').release()
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # the child, which lives on
