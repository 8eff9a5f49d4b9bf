"""Two processes against one, by any launcher: python launcher_check.py LAUNCHER.

Trains a tiny config of mixed supervision (so that there is a fitting stage, a loss over
the batch and a feature cache) and tests it, with two processes and with one; then lets
a process die. Ends with an AssertionError where they differ, or hang.
"""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from mmengine.runner import CheckpointLoader
from rank_spy import ERROR

from mmwsfs.datasets.demo_shapes import make_demo_shapes

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
sys.path.append(str(HERE.parent))

from free_port import free_port  # noqa: E402

LIMIT = 240  # seconds of a run, which takes some ten; more is a hang
CONFIG = """
_base_ = [
    '{repository}/configs/wsfs/vit-s_demo_1shot_mixed10.py',
    '{repository}/configs/_base_/plus.py']
custom_imports = dict(imports=['mmwsfs', 'rank_spy'], allow_failed_imports=False)
model = dict(
    backbone=dict(
        _delete_=True, type='DINOVisionTransformer', patch_size=14, img_size=56,
        arch=dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)),
    labeler=dict(steps=6, probe=dict(layers=(0, 1))),
    cache=dict(folder='{folder}/features', disk_gb=1, ram_gb=0, warm_up=True),
    **_base_.plus)
train_dataloader = dict(batch_size=8)
test_dataloader = dict(batch_size=1, dataset=dict(num_episodes=11))
val_dataloader = val_cfg = val_evaluator = None
train_cfg = dict(max_iters=3)
optim_wrapper = dict(optimizer=dict(_delete_=True, type='SGD', lr=0.05))
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=3))
custom_hooks = [
    dict(type='PseudoLabelEnhancerHook'),
    dict(type='RankSpy', folder='{folder}/one')]
"""
# (tool, its positional arguments) -> commands, one for each machine.
Launcher = Callable[[str, Sequence[str]], 'list[list[str]]']


def one_process(tool: str, arguments: Sequence[str]) -> list[list[str]]:
    return [[sys.executable, f'tools/{tool}.py', *arguments]]


def pytorch(tool: str, arguments: Sequence[str]) -> list[list[str]]:
    """torchrun, by the script."""
    return [['env', f'PORT={free_port()}', 'bash', f'tools/dist_{tool}.sh',
             *arguments, '2']]


def two_nodes(tool: str, arguments: Sequence[str]) -> list[list[str]]:
    """torchrun on two machines of one process each, both of them this one."""
    port = free_port()
    return [['env', f'PORT={port}', 'NNODES=2', f'NODE_RANK={node}', 'bash',
             f'tools/dist_{tool}.sh', *arguments, '1'] for node in range(2)]


def mpi(tool: str, arguments: Sequence[str]) -> list[list[str]]:
    """Open MPI's mpirun; --launcher comes first, options may follow."""
    return [['mpirun', '--allow-run-as-root', '--oversubscribe', '-n', '2', '-x',
             f'MASTER_PORT={free_port()}', sys.executable, f'tools/{tool}.py',
             *arguments, '--launcher', 'mpi']]


def slurm(tool: str, arguments: Sequence[str]) -> list[list[str]]:
    """srun, by the script."""
    return [['env', 'GPUS=0', 'TASKS=2', 'CPUS_PER_TASK=1',
             f'MASTER_PORT={free_port()}', 'bash', f'tools/slurm_{tool}.sh', 'check',
             'check', *arguments]]


LAUNCHERS = {each.__name__: each for each in (pytorch, two_nodes, mpi, slurm)}


class Check:
    """Runs and comparisons in one folder. One process trains and tests as it is made.

    Args:
        folder: an empty one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_demo_shapes(
            folder / 'demo_shapes', train_images=10, val_images=20, size=96)
        self.config = folder / 'tiny.py'
        self.config.write_text(CONFIG.format(repository=REPOSITORY, folder=folder))
        self.succeed(one_process, 'train', [self.config], '--work-dir', folder / 'one')
        self.entries = self.cached()
        self.succeed(
            one_process, 'test', [self.config, folder / 'one/iter_3.pth'],
            '--work-dir', folder / 'one_tested')

    def run(self, launcher: Launcher, tool: str, arguments: Sequence[str | Path],
            *options: str | Path) -> tuple[list[int], str]:
        """Exit statuses and output of a tool; an error where it hangs."""
        environment = {
            **os.environ, 'MMWSFS_DATA_ROOT': str(self.folder), 'OMP_NUM_THREADS': '1',
            'PATH': f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            'PYTHONPATH': f"{HERE}:{REPOSITORY}:{os.environ.get('PYTHONPATH', '')}"}
        log = tempfile.TemporaryFile('w+')
        processes = [
            subprocess.Popen(
                [*command, *map(str, options)], cwd=REPOSITORY, env=environment,
                stdout=log, stderr=log, start_new_session=True)
            for command in launcher(tool, [str(each) for each in arguments])]
        end = time.monotonic() + LIMIT
        try:
            statuses = [
                process.wait(max(end - time.monotonic(), 1)) for process in processes]
        except subprocess.TimeoutExpired:
            for process in processes:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
            log.seek(0)
            raise AssertionError(f'{tool} hangs:\n{log.read()[-5000:]}') from None
        log.seek(0)
        return statuses, log.read()

    def succeed(self, *args: object) -> None:
        """Run a tool that is to end well."""
        statuses, output = self.run(*args)
        assert not any(statuses), output[-8000:]

    def trains_alike(self, launcher: Launcher) -> None:
        """One process of a batch of 8 and two of 4: the same episodes and weights."""
        for path in self.cached():
            path.unlink()
        name = launcher.__name__
        self.succeed(
            launcher, 'train', [self.config], '--work-dir', self.folder / name,
            '--cfg-options', 'train_dataloader.batch_size=4',
            f'custom_hooks.1.folder={self.folder}/{name}')
        one, = self.notes('one')
        two = self.notes(name)
        assert len(two) == 2
        for rank in two:
            assert rank['first'] == one['first'] and rank['fitted'] == one['fitted']
            assert rank['last'] == two[0]['last'] != rank['fitted']
            assert rank['logged'] == two[0]['logged']
        for step, (whole, *shares) in enumerate(zip(
                one['episodes'], *(rank['episodes'] for rank in two))):
            assert sorted(sum(shares, [])) == sorted(whole) and len(whole) == 8, step
            assert not set(shares[0]) & set(shares[1])
            for share in shares:  # both episodes of a query
                queries = [episode.split()[0] for episode in share]
                assert queries[::2] == queries[1::2]
        assert len(one['logged']) == 3
        for first, second in zip(one['logged'], two[0]['logged']):
            assert first.keys() == second.keys() and 'seg.loss_dice' in first
            for name, value in first.items():
                assert abs(value - second[name]) < 1e-4 * max(1, abs(value)), name
        first, second = self.weights('one'), self.weights(launcher.__name__)
        assert first.keys() == second.keys()
        for name, value in first.items():
            torch.testing.assert_close(value, second[name], rtol=1e-3, atol=1e-4)

    def cache_and_fitting_are_whole(self, launcher: Launcher) -> None:
        """After :meth:`trains_alike`: once each, as by one process, and no remains."""
        assert self.cached() == self.entries and self.entries
        features = [path for path in (self.folder / 'features').rglob('*.*')
                    if path.is_file()]
        assert sorted(features) == sorted(self.entries)
        name = launcher.__name__
        first, second = (
            self.weights(folder, 'enhancer/best.pth') for folder in ('one', name))
        assert first.keys() == second.keys()
        assert all(torch.equal(value, second[key]) for key, value in first.items())
        lists = [(self.folder / folder / 'masked_images.txt').read_text()
                 for folder in ('one', name)]
        assert lists[0] == lists[1]
        log, = (self.folder / name).glob('20*/*.log')
        assert log.read_text().count('enhancer: step 2/6') == 1

    def tests_alike(self, launcher: Launcher) -> None:
        """11 episodes, which two processes cannot share evenly: to the last digit."""
        work_dir = self.folder / f'{launcher.__name__}_tested'
        self.succeed(
            launcher, 'test', [self.config, self.folder / 'one/iter_3.pth'],
            '--work-dir', work_dir)
        found = []
        for folder in (self.folder / 'one_tested', work_dir):
            report, = folder.glob('20*/results.json')
            with open(report.with_name('episodes.csv'), newline='') as file:
                rows = list(csv.reader(file))
            report = json.loads(report.read_text())
            report.pop('seconds')
            found.append((report, rows))
        assert found[0] == found[1]
        assert found[0][0]['metrics']['episodes'] == len(found[0][1]) - 1 == 11

    def death_ends_the_job(self, launcher: Launcher, place: str, how: str) -> None:
        """It ends by itself, with a status of failure and the error's own words."""
        statuses, output = self.run(
            launcher, 'train', [self.config], '--work-dir',
            self.folder / f'{launcher.__name__}_{place}_{how}', '--cfg-options',
            'train_dataloader.batch_size=4', f'custom_hooks.1.death=({place},{how})',
            f'custom_hooks.1.folder={self.folder}/dead')
        assert all(statuses), output[-5000:]
        assert not (self.folder / 'dead').exists()
        words = {'raise': [f'RuntimeError: {ERROR}'],
                 'kill': ['SIGKILL', 'Killed', 'signal 9']}
        assert any(word in output for word in words[how]), output[-5000:]

    def cached(self) -> list[Path]:
        """Files of cached features."""
        return sorted((self.folder / 'features').rglob('*.features'))

    def notes(self, name: str) -> list[dict]:
        """What the spy wrote, by rank."""
        return [json.loads(path.read_text())
                for path in sorted((self.folder / name).glob('rank*.json'))]

    def weights(self, name: str, file: str = 'iter_3.pth') -> dict[str, torch.Tensor]:
        """Of a checkpoint in a work dir."""
        return CheckpointLoader.load_checkpoint(
            str(self.folder / name / file), 'cpu')['state_dict']


def main() -> None:
    launcher = LAUNCHERS[sys.argv[1]]
    with tempfile.TemporaryDirectory() as folder:
        check = Check(Path(folder))
        for step, arguments in (
                (check.trains_alike, ()), (check.cache_and_fitting_are_whole, ()),
                (check.tests_alike, ()),
                *((check.death_ends_the_job, (place, how))
                  for place in ('step', 'fitting') for how in ('raise', 'kill'))):
            start = time.monotonic()
            step(launcher, *arguments)
            print(' '.join([f'{launcher.__name__}:', step.__name__, *arguments]),
                  f'ok, {time.monotonic() - start:.0f} s', flush=True)


if __name__ == '__main__':
    main()
