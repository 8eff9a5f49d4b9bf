"""Train the model of a config: ``mmwsfs train``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from .common import (
    CONFIG_HELP,
    CommandParser,
    add_common_arguments,
    check_checkpoint,
    end_processes,
    load_config,
    one_sentence,
    program,
    shorten_backbone,
    warn_of_slow_bfloat16,
)

DESCRIPTION = """\
Train the model of a config.

  mmwsfs train vit-s_demo_1shot              on painted toys, in minutes
  mmwsfs train vit-s_pascal5i_1shot --fold 0
  mmwsfs train my_config.py --cfg-options train_cfg.max_iters=1000

Logs and checkpoints come into work_dirs/CONFIG. Ctrl-C ends a training after the step
that it is in, with a checkpoint from which --resume goes on; so does SIGTERM. See
docs/resuming.md.
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line of ``mmwsfs train``."""
    parser = CommandParser(program('train'), DESCRIPTION)
    parser.add_argument('config', help=CONFIG_HELP)
    parser.add_argument(
        '--resume', action='store_true',
        help='continue from the last checkpoint in the work dir')
    parser.add_argument(
        '--amp', action='store_true',
        help='automatic mixed precision (bfloat16 on a CPU), and a frozen backbone in '
             'bfloat16')
    add_common_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Train to the end, or until the user stops it.

    Args:
        argv: arguments. Defaults to None, those of the process.
    """
    args = build_parser().parse_args(argv)
    cfg = load_config(args)
    from mmwsfs.engine import TrainingRunner

    if args.amp:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        shorten_backbone(cfg)
        warn_of_slow_bfloat16()
    cfg.resume = args.resume
    if cfg.get('load_from'):
        check_checkpoint(cfg.load_from)
    with one_sentence('train'):
        TrainingRunner.from_cfg(cfg).train()
    end_processes()
