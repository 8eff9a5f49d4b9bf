"""Train the pseudo-label enhancer of a mixed config, and nothing else."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from .common import (
    CONFIG_HELP,
    CommandParser,
    add_common_arguments,
    end_processes,
    load_config,
    one_sentence,
    program,
)

DESCRIPTION = """\
Train the pseudo-label enhancer of a mixed config, and nothing else.

  python tools/train_enhancer.py vit-s_demo_1shot_mixed10 [--work-dir DIR] [--resume]

The first stage of a mixed training (see FittingHook) by itself. Writes
WORK_DIR/enhancer/best.pth, which any mixed config takes, to leave out its own first
stage, by --cfg-options model.labeler.enhancer.init_cfg.type=Pretrained
model.labeler.enhancer.init_cfg.checkpoint=WORK_DIR/enhancer/best.pth.
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line of ``tools/train_enhancer.py``."""
    parser = CommandParser(program('train_enhancer'), DESCRIPTION)
    parser.add_argument('config', help=f'{CONFIG_HELP}; it has an EnhancedLabeler')
    parser.add_argument(
        '--resume', action='store_true', help='continue what the work dir holds')
    add_common_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Train the enhancer and write it.

    Args:
        argv: arguments. Defaults to None, those of the process.
    """
    args = build_parser().parse_args(argv)
    cfg = load_config(args)
    from mmwsfs.engine import TrainingRunner
    from mmwsfs.engine.hooks.bare_model import bare_model
    from mmwsfs.models import EnhancedLabeler

    cfg.resume = args.resume
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=0)
    cfg.param_scheduler = None
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    cfg.default_hooks.checkpoint = None
    cfg.model.metric = None  # what comes after the enhancer
    with one_sentence('train_enhancer'):
        runner = TrainingRunner.from_cfg(cfg)
        if not isinstance(bare_model(runner).labeler, EnhancedLabeler):
            raise SystemExit(
                f"{program('train_enhancer')}: the model of '{args.config}' has no "
                'EnhancedLabeler: give a config for mixed supervision')
        runner.train()
        del runner
    end_processes()
