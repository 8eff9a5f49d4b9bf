"""Test a checkpoint, or a model that needs no training: ``mmwsfs test``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

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
Test a checkpoint, or a model that needs no training.

  mmwsfs test vit-s_pascal5i_1shot work_dirs/RUN/iter_100000.pth --fold 0
  mmwsfs test vit-s_pascal5i_1shot CHECKPOINT --fold 0 --way 2 --shot 5
  mmwsfs test prototypes_dinov2-vit-s_pascal5i --fold 0       needs no checkpoint
  mmwsfs test CONFIG CHECKPOINT --show-dir pictures --out label_maps

Metrics are printed as tables and come, with every episode, into WORK_DIR/TIMESTAMP.
"""
# Metrics that write label maps, ours and mmseg's.
WRITERS = ('FewShotMetric', 'IoUMetric')


def build_parser() -> argparse.ArgumentParser:
    """The command line of ``mmwsfs test``."""
    parser = CommandParser(program('test'), DESCRIPTION)
    parser.add_argument('config', help=CONFIG_HELP)
    parser.add_argument(
        'checkpoint', nargs='?',
        help='checkpoint file; none for a model that needs no training')
    parser.add_argument(
        '--out', metavar='DIR',
        help='folder to which the predicted label maps are written, as PNG')
    parser.add_argument(
        '--show', action='store_true', help='show episodes in a window')
    parser.add_argument('--show-dir', help='folder to which episodes are drawn')
    parser.add_argument(
        '--wait-time', type=float, default=2, help='seconds a window stays')
    parser.add_argument(
        '--amp', action='store_true',
        help='automatic mixed precision (bfloat16 on a CPU), and a frozen backbone in '
             'bfloat16')
    parser.add_argument(
        '--episodes', help='episode file to replay instead of drawing the episodes')
    add_common_arguments(parser)
    return parser


def write_label_maps(cfg: Config, folder: str) -> None:
    """Have the metrics of the test that can do so write label maps to a folder."""
    evaluators = cfg.test_evaluator
    writers = [
        evaluator
        for evaluator in (evaluators if isinstance(evaluators, list) else [evaluators])
        if str(evaluator.get('type')).rpartition('.')[2] in WRITERS]
    if not writers:
        raise SystemExit(
            f'{program("test")}: --out is for a test_evaluator with one of '
            f"{' and '.join(WRITERS)}, and '{cfg.filename}' has none")
    for writer in writers:
        writer.output_dir = folder


def main(argv: Sequence[str] | None = None) -> None:
    """Test, print and write the metrics.

    Args:
        argv: arguments. Defaults to None, those of the process.
    """
    args = build_parser().parse_args(argv)
    cfg = load_config(args)
    from mmwsfs.engine import CarefulRunner
    from mmwsfs.engine.hooks.bare_model import bare_model

    if args.checkpoint is not None:
        check_checkpoint(args.checkpoint)
    elif cfg.get('train_dataloader') is not None:
        raise SystemExit(
            f"{program('test')}: '{args.config}' is of a model that is trained: give "
            'its checkpoint')
    cfg.load_from = args.checkpoint
    if args.amp:
        cfg.test_cfg.fp16 = True
        shorten_backbone(cfg)
        warn_of_slow_bfloat16()
    if args.episodes:
        cfg.test_dataloader.dataset.episodes = str(Path(args.episodes).absolute())
    if args.out:
        write_label_maps(cfg, args.out)
    if args.show or args.show_dir:
        cfg.default_hooks.visualization.update(
            draw=True, show=args.show, wait_time=args.wait_time)
        if args.show_dir:
            cfg.visualizer.save_dir = args.show_dir
    with one_sentence('test'):
        runner = CarefulRunner.from_cfg(cfg)
        if args.checkpoint is None:
            bare_model(runner).init_weights()  # the backbone's, from where it says
        runner.test()
        del runner
    end_processes()
