"""What the commands share: their parser, config, checkpoint and end."""

from __future__ import annotations

import argparse
import difflib
import logging
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from mmengine.config import Config, DictAction
from mmengine.logging import MMLogger, print_log

from mmwsfs.utils.config_file import config_path
from mmwsfs.utils.launcher import LAUNCHERS, prepare_launcher
from mmwsfs.utils.protocols import PROTOCOLS
from mmwsfs.utils.quiet import quiet_imports, quiet_screen
from mmwsfs.utils.run_error import RunError

CONFIG_HELP = (
    'a config: a file, or the name of one that comes with mmwsfs, such as '
    "vit-s_pascal5i_1shot ('mmwsfs configs' lists them)")


def program(command: str) -> str:
    """What the user called: ``mmwsfs COMMAND``, or the script that is its front."""
    name = Path(sys.argv[0]).name
    if name.endswith('.py') and name != '__main__.py':
        return name
    return f'mmwsfs {command}'


class CommandParser(argparse.ArgumentParser):
    """Says what is wrong in one sentence; its description may have several lines.

    Args:
        prog: what the user called, see :func:`program`.
        description: what it does, and examples, for a newcomer.
    """

    def __init__(self, prog: str, description: str, **kwargs: Any) -> None:
        super().__init__(
            prog=prog, description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs)

    def error(self, message: str) -> NoReturn:
        """End with status 2."""
        unknown = message.removeprefix('unrecognized arguments: ')
        if unknown != message:
            near = difflib.get_close_matches(
                unknown.split()[0], self._option_string_actions, 1)
            message = f"'{unknown}' is not known here"
            message += f', did you mean {near[0]}?' if near else ''
        missing = message.removeprefix('the following arguments are required: ')
        if missing != message:
            message = f'{missing.replace(", ", " and ")} is missing'
        self.exit(2, f"{self.prog}: {message} ('{self.prog} --help' tells more)\n")


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Work dir, config options, launcher; fold, way, shot and protocol."""
    parser.add_argument(
        '--work-dir', help='folder of logs and checkpoints; default: work_dirs/CONFIG')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE',
        help='override settings of the config, e.g. train_cfg.max_iters=1000')
    for name, text in (('fold', 'which quarter of the classes is held out, 0 to 3'),
                       ('way', 'classes of an episode'),
                       ('shot', 'support images of a class')):
        parser.add_argument(
            f'--{name}', type=int,
            help=f'{text}; the same as MMWSFS_{name.upper()}=...')
    parser.add_argument(
        '--protocol', choices=PROTOCOLS,
        help='of the test: FS-CS, or FS-S, where the query always holds the first '
        "way's class; the same as MMWSFS_PROTOCOL=...")
    parser.add_argument(
        '--launcher', choices=LAUNCHERS, default='none',
        help='what started the processes, if there are several: docs/launchers.md')
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def resolved_config(config: str) -> str:
    """The file of a config, or the end with one sentence."""
    try:
        return config_path(config)
    except FileNotFoundError as error:
        raise SystemExit(str(error)) from None


def load_config(args: argparse.Namespace) -> Config:
    """Read the config with the command line's settings in it."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    # Also what others in this process would unpickle.
    os.environ.setdefault('TORCH_FORCE_WEIGHTS_ONLY_LOAD', '1')
    for name in ('fold', 'way', 'shot', 'protocol'):
        value = getattr(args, name)
        if value is not None:
            os.environ[f'MMWSFS_{name.upper()}'] = str(value)
    path = resolved_config(args.config)
    import_openmmlab()
    cfg = Config.fromfile(path)
    cfg.merge_from_dict(args.cfg_options)
    try:
        prepare_launcher(cfg, args.launcher)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(path).stem)
    return cfg


def import_openmmlab() -> None:
    """Import what takes seconds, and prints on the way, where the work begins."""
    with quiet_imports():
        import mmpretrain.datasets  # noqa: F401
        import mmseg.datasets  # noqa: F401

        import mmwsfs.models  # noqa: F401
    quiet_screen(MMLogger.get_current_instance())


def shorten_backbone(cfg: Config) -> None:
    """What ``--amp`` makes of a frozen backbone that has a ``dtype``: bfloat16.

    What the config says stays. On a GPU without bfloat16 nothing changes: autocast to
    float16 is faster there.
    """
    import torch
    from mmengine.device import get_device

    from mmwsfs.models.backbones.frozen_dtype import takes_dtype

    backbone = cfg.model.get('backbone') or {}
    device = get_device()
    if takes_dtype(backbone) and (device == 'cpu' or device == 'cuda' and (
            torch.cuda.is_bf16_supported(including_emulation=False))):
        backbone.setdefault('dtype', 'bfloat16')


def warn_of_slow_bfloat16() -> None:
    """Say so where a processor has to imitate bfloat16, which ``--amp`` takes there."""
    import torch
    from mmengine.device import get_device

    if get_device() == 'cpu' and platform.machine() in ('x86_64', 'AMD64') and not (
            torch.cpu._is_avx512_bf16_supported()
            or torch.cpu._is_amx_tile_supported()):
        print_log(
            'this processor has neither avx512_bf16 nor AMX: bfloat16 takes it longer '
            'than single precision, leave --amp out', 'current', logging.WARNING)


def check_checkpoint(path: str) -> None:
    """End with one sentence where a local checkpoint is none, is not safe to read, or
    is of no use: before the run begins, which reads it again."""
    from mmwsfs.utils.checkpoint_file import read_checkpoint
    from mmwsfs.utils.state_dict import find_state_dict, invalid_values
    from mmwsfs.utils.training_objects import TRAINING_OBJECTS

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
def one_sentence(command: str) -> Iterator[None]:
    """End with one message, and status 1, where the block ends for a known reason."""
    # Of a disk that is full the log would say so by a trace for every line.
    before, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        yield
    except RunError as error:
        raise SystemExit(f'{program(command)}: {error}') from None
    except KeyboardInterrupt:
        print(f'{program(command)}: stopped by Ctrl-C', file=sys.stderr)
        raise SystemExit(130) from None
    finally:
        logging.raiseExceptions = before


def end_processes() -> None:
    """Leave the process group together: one that exits alone may abort the others.

    Nobody may hold the runner any more. Its model holds the group, and a thread of gloo
    that still works as the interpreter ends aborts the process.
    """
    import gc

    import torch.distributed
    from mmengine.dist import barrier, is_distributed

    if is_distributed():
        barrier()
        gc.collect()  # the runner, which is in a cycle
        torch.distributed.destroy_process_group()
