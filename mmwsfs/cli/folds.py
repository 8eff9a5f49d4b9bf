"""Train and test all folds of a config: ``mmwsfs folds``.

The table puts the means beside published results.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from mmengine.config import Config
from mmengine.logging import MMLogger
from rich.console import Console

from mmwsfs.utils.files import file_sha256, write_whole
from mmwsfs.utils.folder_lock import FolderLock
from mmwsfs.utils.run_error import RunError
from mmwsfs.utils.run_identity import changed_settings, settings_digest
from mmwsfs.utils.work_dir import (
    best_or_last_checkpoint,
    finished_test,
    last_checkpoint,
)

from .common import (
    CONFIG_HELP,
    CommandParser,
    add_common_arguments,
    load_config,
    program,
    resolved_config,
    shorten_backbone,
)

DESCRIPTION = """\
Train and test all folds of a config, and put the means beside published results.

  mmwsfs folds vit-s_pascal5i_1shot
  mmwsfs folds vit-s_pascal5i_1shot --folds 0 1 --way 1 2 --shot 1 5
  mmwsfs folds vit-s_pascal5i_1shot --folds 0 1 --checkpoints fold0.pth fold1.pth

Fold i is trained in WORK_DIR/fold{i} and tested, for every way and shot, in
WORK_DIR/fold{i}/{way}w{shot}s: the best checkpoint by validation (best_*) where there
is one, else the last; on which classes it was chosen (MMWSFS_SELECTION) stands in the
table. What is finished is not done again, so that the command can be stopped at any
time and given again. The table comes in WORK_DIR/table.md and, with the reports of the
folds, in WORK_DIR/table.json.
"""
# How a training or test is started; for several processes torchrun starts it.
COMMAND = ('-m', 'mmwsfs')
ERROR = re.compile(
    r'^(\[rank\d+\]: )?([\w.]*(Error|Exception)|mmwsfs (train|test)): \S')
PROGRESS = re.compile(r'Iter\((train|val|test)\) *\[ *(\d+/ *\d+)\](?:.*? eta: (\S+))?')


def build_parser() -> argparse.ArgumentParser:
    """The command line of ``mmwsfs folds``."""
    parser = CommandParser(program('folds'), DESCRIPTION)
    parser.add_argument('config', help=CONFIG_HELP)
    parser.add_argument(
        '--folds', nargs='+', type=int, choices=range(4), default=[0, 1, 2, 3],
        help='which; default: all four')
    parser.add_argument(
        '--way', nargs='+', type=int, default=[1],
        help='classes of a test episode, one number or several; default: 1')
    parser.add_argument(
        '--shot', nargs='+', type=int, default=[1],
        help='support images of a class, one number or several; default: 1')
    parser.add_argument(
        '--test-only', action='store_true',
        help='do not train: test what WORK_DIR holds')
    parser.add_argument(
        '--checkpoints', nargs='+', metavar='FILE',
        help='do not train: test these, one for each of the folds, in their order')
    parser.add_argument('--work-dir', help='default: work_dirs/CONFIG')
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE',
        help='override settings of the config, in training and testing')
    parser.add_argument(
        '--processes', type=int, default=1,
        help='so many for a training or test, on as many GPUs; default: 1')
    parser.add_argument(
        '--amp', action='store_true',
        help='train in automatic mixed precision; a frozen backbone is in bfloat16, in '
             'the tests, too')
    return parser


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments, with the work dir as a path and the config as a file."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.checkpoints and len(args.checkpoints) != len(args.folds):
        parser.error(
            f'{len(args.checkpoints)} checkpoints for {len(args.folds)} folds '
            f'({args.folds}): give one for each')
    args.config = resolved_config(args.config)
    args.work_dir = Path(args.work_dir or Path('work_dirs') / Path(args.config).stem)
    return args


class FoldRunner:
    """Runs the jobs of a command line: a training for each fold, then its tests."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.console = Console(highlight=False, markup=False, soft_wrap=True)
        # Held by the jobs as well, to which it is handed on: they may outlive us.
        try:
            self.lock = FolderLock(
                args.work_dir,
                f'{program("folds")} or a training or test that it started')
        except RunError as error:
            fail(str(error))

    def run(self) -> None:
        """All jobs, then the table."""
        try:
            self.write_table(self.run_folds())
        finally:
            self.lock.release()

    def run_folds(self) -> dict[tuple[int, int], dict[int, dict]]:
        """Train and test every fold: (way, shot) -> fold -> report."""
        self.check_folds()
        reports: dict[tuple[int, int], dict[int, dict]] = {}
        for index, fold in enumerate(self.args.folds):
            folder = self.args.work_dir / f'fold{fold}'
            if self.args.checkpoints:
                checkpoint = Path(self.args.checkpoints[index])
            else:
                if not self.args.test_only:
                    self.train(fold, folder)
                found = best_or_last_checkpoint(folder)
                if found is None:
                    fail(f"'{folder}' holds no checkpoint to test: leave --test-only "
                         'out, to train, or give --checkpoints')
                checkpoint = found
            if not zipfile.is_zipfile(checkpoint):
                fail(f"fold {fold}: '{checkpoint}' is missing or no PyTorch checkpoint")
            digest = file_sha256(checkpoint)
            for way in self.args.way:
                for shot in self.args.shot:
                    reports.setdefault((way, shot), {})[fold] = self.test(
                        (fold, way, shot), folder, checkpoint, digest)
        return reports

    def settings(self, fold: int, way: int = 1, shot: int = 1,
                 options: Sequence[str] = ()) -> list[str]:
        """The arguments that the tools take the settings from."""
        settings = ['--fold', str(fold), '--way', str(way), '--shot', str(shot)]
        options = [*self.args.cfg_options, *options]
        return [*settings, '--cfg-options', *options] if options else settings

    def config(self, settings: list[str]) -> Config:
        """The config as the tools read it with these arguments."""
        parser = argparse.ArgumentParser()
        parser.add_argument('config')
        add_common_arguments(parser)
        before = dict(os.environ)
        try:
            cfg = load_config(parser.parse_args([self.args.config, *settings]))
            if self.args.amp:
                shorten_backbone(cfg)
            return cfg
        finally:
            os.environ.clear()
            os.environ.update(before)

    def check_folds(self) -> None:
        """Refuse data without folds, and a fold that is fixed, before they cost."""
        for fold in self.args.folds:
            cfg = self.config(self.settings(fold))
            for loader in ('train_dataloader', 'test_dataloader'):
                held_out = cfg[loader].dataset.get('fold')
                if held_out is None:
                    fail(f"the {cfg[loader].dataset.type} of '{self.args.config}' has "
                         f'no folds ({loader}.dataset.fold is not set): train it by '
                         'tools/train.py and test it by tools/test.py')
                if held_out != fold:
                    self.fail_to_set('fold', fold, held_out)

    def train(self, fold: int, folder: Path) -> None:
        """Train a fold, or what is left of it."""
        title = f'fold {fold}: training'
        settings = self.settings(fold)
        cfg = self.config(settings)
        max_iters = cfg.train_cfg.get('max_iters')
        if max_iters is None:
            fail(f"'{self.args.config}' has no train_cfg.max_iters: only trainings "
                 'counted in iterations can be run here')
        if self.args.amp:
            cfg.optim_wrapper.type = 'AmpOptimWrapper'
        last = last_checkpoint(folder)
        if last is not None:
            self.check_same_training(cfg, folder)
            if last.name == f'iter_{max_iters}.pth':
                self.console.print(f'{title} is finished already')
                return
        arguments = ['--resume', '--work-dir', str(folder), *['--amp'] * self.args.amp]
        self.execute(title, folder / 'train.log', 'train', [], [*arguments, *settings])
        last = last_checkpoint(folder)
        if last is None or last.name != f'iter_{max_iters}.pth':
            fail(f"{title} ended without its last checkpoint, '{folder}/iter_"
                 f"{max_iters}.pth': see '{folder}/train.log'")

    def fail_to_set(self, key: str, wanted: int, found: int) -> NoReturn:
        """End because the config has a fixed fold, way or shot."""
        fail(f"'{self.args.config}' does not take its {key} from MMWSFS_{key.upper()}: "
             f'{wanted} was asked for, but it is {found}')

    @staticmethod
    def check_same_training(cfg: Config, folder: Path) -> None:
        """Refuse to continue, or call finished, a training with other settings."""
        dumped = folder / Path(cfg.filename).name
        if not dumped.exists():
            fail(f"'{folder}' holds a training, but not of a config '{dumped.name}': "
                 'choose another --work-dir')
        changed = changed_settings(Config.fromfile(dumped), cfg)
        if changed:
            fail(f"'{folder}' holds a training with other settings of "
                 f"{', '.join(changed)}: choose another --work-dir, or remove it")

    def test(self, episodes: tuple[int, int, int], folder: Path, checkpoint: Path,
             digest: str) -> dict:
        """The report of a test of (fold, way, shot), made now or before."""
        from mmwsfs.evaluation.results_table import column

        fold, way, shot = episodes
        folder = folder / column(way, shot)
        title = f'fold {fold}: {way}-way {shot}-shot test of {checkpoint.name}'
        settings = self.settings(*episodes)
        cfg = self.config(settings)
        wanted = settings_digest(cfg), digest
        report = finished_test(folder, *wanted)
        if report is None:
            dtype = (cfg.model.get('backbone') or {}).get('dtype')
            if dtype is not None:  # whether the config has it, or --amp
                settings = self.settings(
                    *episodes, [f'model.backbone.dtype={dtype}'])
            self.execute(
                title, folder / 'test.log', 'test', [str(checkpoint)],
                ['--work-dir', str(folder), *settings])
            report = finished_test(folder, *wanted)
            if report is None:
                fail(f"{title} left no report in '{folder}': the config needs "
                     "default_hooks.report=dict(type='EpisodeReportHook') and a "
                     'FewShotMetric in test_evaluator')
        else:
            title += ' is finished already'
        for key, value in zip(('fold', 'way', 'shot'), episodes):
            if report['dataset'][key] != value:
                self.fail_to_set(key, value, report['dataset'][key])
        metrics = report['metrics']
        self.console.print(
            f"{title}: exact ratio {metrics['exact_ratio']:.1f}, mIoU "
            f"{metrics['mIoU']:.1f}")
        return report

    def execute(self, title: str, log: Path, tool: str, positional: list[str],
                arguments: list[str]) -> None:
        """Run ``mmwsfs train`` or ``test`` to its end, its output in a log file."""
        command = [*COMMAND, tool, self.args.config, *positional, *arguments]
        if self.args.processes > 1:
            command = [
                *torchrun(self.args.processes), *command, '--launcher', 'pytorch']
        log.parent.mkdir(parents=True, exist_ok=True)
        start = time.time()
        self.console.print(f'{title}; log: {log}')
        with log.open('ab') as file, self.console.status(title) as status:
            begin = file.tell()
            process = subprocess.Popen(
                [sys.executable, *command], stdout=file, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, start_new_session=True,
                **self.lock.handed_on())
            try:
                while True:
                    try:
                        process.wait(timeout=0.5)
                        break
                    except subprocess.TimeoutExpired:
                        status.update(f'{title} {progress(log, begin)}')
            finally:
                if process.poll() is None:  # we are being stopped
                    if hasattr(os, 'killpg'):  # its workers, too
                        os.killpg(process.pid, signal.SIGTERM)
                    else:
                        process.terminate()
                    process.wait()
        if process.returncode:
            fail(f'{title} failed with status {process.returncode}: '
                 f'{reason(log, begin)}\nlog: {log}\n'
                 'What is finished stays; the same command continues.')
        self.console.print(f'{title} took {time.time() - start:.0f} s')

    def write_table(self, reports: dict[tuple[int, int], dict[int, dict]]) -> None:
        """Print the table and write it to the work dir."""
        from mmwsfs.evaluation.results_table import markdown, results_table

        try:
            table = results_table(Path(self.args.config).name, reports)
        except ValueError as error:
            fail(str(error))
        table['cfg_options'] = self.args.cfg_options
        text = markdown(table)
        if self.args.cfg_options:
            text += f"\nWith `--cfg-options {' '.join(self.args.cfg_options)}`.\n"
        folder = self.args.work_dir
        write_whole(folder / 'table.json', json.dumps(table, indent=2) + '\n')
        write_whole(folder / 'table.md', text)
        print(f'\n{text}\nwritten to {folder}/table.md and {folder}/table.json')


def fail(message: str) -> NoReturn:
    """End with a message and status 1."""
    raise SystemExit(f'{program("folds")}: {message}')


def progress(log: Path, begin: int) -> str:
    """The last progress that a log tells of from a byte on, '' if none does."""
    with log.open('rb') as file:
        file.seek(max(begin, log.stat().st_size - 8192))
        found = PROGRESS.findall(file.read().decode(errors='replace'))
    if not found:
        return ''
    phase, count, eta = found[-1]
    return f"{phase} {count}{f', {eta} left' if eta else ''}"


def reason(log: Path, begin: int) -> str:
    """The last error that a log tells of from a byte on, or its last line."""
    lines = log.read_bytes()[begin:].decode(errors='replace').strip().splitlines()
    errors = [line for line in lines if ERROR.search(line)]
    return (errors or lines or ['no output'])[-1]


def torchrun(processes: int) -> list[str]:
    """The module that starts so many processes on this machine, before ``-m``.

    Of several machines it reads the same variables as tools/dist_train.sh.
    """
    environ = os.environ
    return [
        '-m', 'torch.distributed.run', f"--nnodes={environ.get('NNODES', 1)}",
        f"--node_rank={environ.get('NODE_RANK', 0)}",
        f"--master_addr={environ.get('MASTER_ADDR', '127.0.0.1')}",
        f"--master_port={environ.get('PORT', 29500)}", f'--nproc_per_node={processes}']


def main(argv: Sequence[str] | None = None) -> None:
    """Train and test the folds; SIGINT and SIGTERM end the running job as well.

    Args:
        argv: arguments. Defaults to None, those of the process.
    """
    args = parse_args(argv)
    stops = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(
        stop, lambda number, frame: sys.exit(128 + number)) for stop in stops]
    # Reading a config tells of every variable in it, every time.
    MMLogger.get_current_instance().setLevel('WARNING')
    try:
        FoldRunner(args).run()
    finally:
        for stop, handler in zip(stops, before):
            signal.signal(stop, handler)
