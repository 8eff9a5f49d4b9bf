"""What the command lines of the tools share."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch.distributed
from mmengine.config import Config, DictAction
from mmengine.dist import barrier, is_distributed

from mmwsfs.datasets.few_shot_dataset import PROTOCOLS
from mmwsfs.utils.checkpoint_file import read_checkpoint
from mmwsfs.utils.launcher import LAUNCHERS, prepare_launcher
from mmwsfs.utils.run_error import RunError
from mmwsfs.utils.state_dict import find_state_dict, invalid_values
from mmwsfs.utils.training_objects import TRAINING_OBJECTS


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Work dir, config options, launcher; fold, way, shot and protocol."""
    parser.add_argument(
        '--work-dir', help='folder of logs and checkpoints; default: work_dirs/CONFIG')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={},
        help='override settings of the config: key=value ...')
    for name in ('fold', 'way', 'shot'):
        parser.add_argument(
            f'--{name}', type=int, help=f'the same as MMWSFS_{name.upper()}=...')
    parser.add_argument(
        '--protocol', choices=PROTOCOLS,
        help='of the test: FS-CS, or FS-S, where the query always holds the first '
        "way's class; the same as MMWSFS_PROTOCOL=...")
    parser.add_argument(
        '--launcher', choices=LAUNCHERS, default='none',
        help='what started the processes, if there are several: docs/launchers.md')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def load_config(args: argparse.Namespace) -> Config:
    """Read the config with the command line's settings in it."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    # Also what others in this process would unpickle.
    os.environ.setdefault('TORCH_FORCE_WEIGHTS_ONLY_LOAD', '1')
    for name in ('fold', 'way', 'shot', 'protocol'):
        value = getattr(args, name)
        if value is not None:
            os.environ[f'MMWSFS_{name.upper()}'] = str(value)
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    try:
        prepare_launcher(cfg, args.launcher)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    return cfg


def check_checkpoint(path: str) -> None:
    """End with one sentence where a local checkpoint is none, is not safe to read, or
    is of no use: before the run begins, which reads it again."""
    if '://' in path:
        return
    try:
        content = read_checkpoint(Path(path).expanduser(), known=TRAINING_OBJECTS)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
    invalid = invalid_values(find_state_dict(content) or {})
    if invalid:
        raise SystemExit(
            f"checkpoint '{path}': {invalid}: its training had failed; take an earlier "
            'one')


@contextmanager
def one_sentence() -> Iterator[None]:
    """End with one message, and status 1, where the block ends for a known reason."""
    tool = Path(sys.argv[0]).name
    # Of a disk that is full the log would say so by a trace for every line.
    before, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        yield
    except RunError as error:
        raise SystemExit(f'{tool}: {error}') from None
    except KeyboardInterrupt:
        print(f'{tool}: stopped by Ctrl-C', file=sys.stderr)
        raise SystemExit(130) from None
    finally:
        logging.raiseExceptions = before


def end_processes() -> None:
    """Leave the process group together: one that exits alone may abort the others.

    Nobody may hold the runner any more. Its model holds the group, and a thread of gloo
    that still works as the interpreter ends aborts the process.
    """
    if is_distributed():
        barrier()
        gc.collect()  # the runner, which is in a cycle
        torch.distributed.destroy_process_group()
