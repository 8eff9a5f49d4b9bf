"""Train a model: a thin front to MMEngine's runner.

Ctrl-C ends a training after the step that it is in, with a checkpoint from which
--resume goes on; so does SIGTERM. See docs/resuming.md.
"""

from __future__ import annotations

import argparse

from cli import (
    add_common_arguments,
    check_checkpoint,
    end_processes,
    load_config,
    one_sentence,
)

from mmwsfs.engine import TrainingRunner


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--resume', action='store_true',
        help='continue from the last checkpoint in the work dir')
    parser.add_argument(
        '--amp', action='store_true',
        help='automatic mixed precision (bfloat16 on a CPU)')
    add_common_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = load_config(args)
    if args.amp:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.resume = args.resume
    if cfg.get('load_from'):
        check_checkpoint(cfg.load_from)
    with one_sentence():
        TrainingRunner.from_cfg(cfg).train()
    end_processes()


if __name__ == '__main__':
    main()
