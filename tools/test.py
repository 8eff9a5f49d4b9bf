"""Test a checkpoint, or a model that needs no training: a thin front to MMEngine's
runner."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli import (
    add_common_arguments,
    check_checkpoint,
    end_processes,
    load_config,
    one_sentence,
)

from mmwsfs.engine import CarefulRunner
from mmwsfs.engine.hooks.bare_model import bare_model


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        'checkpoint', nargs='?',
        help='checkpoint file; none for a model that needs no training')
    parser.add_argument(
        '--show', action='store_true', help='show episodes in a window')
    parser.add_argument('--show-dir', help='folder to which episodes are drawn')
    parser.add_argument(
        '--wait-time', type=float, default=2, help='seconds a window stays')
    parser.add_argument(
        '--amp', action='store_true',
        help='automatic mixed precision (bfloat16 on a CPU)')
    parser.add_argument(
        '--episodes', help='episode file to replay instead of drawing the episodes')
    add_common_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = load_config(args)
    if args.checkpoint is not None:
        check_checkpoint(args.checkpoint)
    elif cfg.get('train_dataloader') is not None:
        raise SystemExit(
            f"test.py: '{args.config}' is of a model that is trained: give its "
            'checkpoint')
    cfg.load_from = args.checkpoint
    if args.amp:
        cfg.test_cfg.fp16 = True
    if args.episodes:
        cfg.test_dataloader.dataset.episodes = str(Path(args.episodes).absolute())
    if args.show or args.show_dir:
        cfg.default_hooks.visualization.update(
            draw=True, show=args.show, wait_time=args.wait_time)
        if args.show_dir:
            cfg.visualizer.save_dir = args.show_dir
    with one_sentence():
        runner = CarefulRunner.from_cfg(cfg)
        if args.checkpoint is None:
            bare_model(runner).init_weights()  # the backbone's, from where it says
        runner.test()
        del runner
    end_processes()


if __name__ == '__main__':
    main()
