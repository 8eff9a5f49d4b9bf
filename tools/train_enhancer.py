"""Train the pseudo-label enhancer of a mixed config, and nothing else.

    python tools/train_enhancer.py CONFIG [--work-dir DIR] [--resume]

The first stage of a mixed training (see FittingHook) by itself. Writes
WORK_DIR/enhancer/best.pth, which any mixed config takes, to leave out its own first
stage, by --cfg-options model.labeler.enhancer.init_cfg.type=Pretrained
model.labeler.enhancer.init_cfg.checkpoint=WORK_DIR/enhancer/best.pth.
"""

from __future__ import annotations

import argparse

from cli import add_common_arguments, end_processes, load_config, one_sentence

from mmwsfs.engine import TrainingRunner
from mmwsfs.engine.hooks.bare_model import bare_model
from mmwsfs.models import EnhancedLabeler


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file with an EnhancedLabeler')
    parser.add_argument(
        '--resume', action='store_true', help='continue what the work dir holds')
    add_common_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = load_config(args)
    cfg.resume = args.resume
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=0)
    cfg.param_scheduler = None
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    cfg.default_hooks.checkpoint = None
    cfg.model.metric = None  # what comes after the enhancer
    with one_sentence():
        runner = TrainingRunner.from_cfg(cfg)
        if not isinstance(bare_model(runner).labeler, EnhancedLabeler):
            raise SystemExit(
                f"train_enhancer.py: the model of '{args.config}' has no "
                'EnhancedLabeler: give a config for mixed supervision')
        runner.train()
        del runner
    end_processes()


if __name__ == '__main__':
    main()
