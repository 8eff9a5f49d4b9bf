"""Train from tags and compare on novel classes: ``mmwsfs demo``."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmengine.config import Config, DictAction

from mmwsfs.utils.files import write_whole
from mmwsfs.utils.tables import text_table

from .common import (
    CONFIG_HELP,
    CommandParser,
    import_openmmlab,
    one_sentence,
    program,
    resolved_config,
)

if TYPE_CHECKING:
    import numpy as np
    from mmengine.runner import Runner

DEFAULT = 'vit-s_demo_1shot'
DESCRIPTION = """\
Train from tags (image-level labels) and compare on novel classes.

  mmwsfs demo                    does everything work? minutes on two CPU cores
  mmwsfs demo --seed 1 --work-dir work_dirs/demo1

The default config makes its own images and takes its backbone from the Python package
index. At the end there is a table (exact ratio and mIoU of the trained model, of the
untrained one and of the bare pseudo-masks as prediction, on the same test episodes)
and a picture of the first test episodes.
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line of ``mmwsfs demo``."""
    parser = CommandParser(program('demo'), DESCRIPTION)
    parser.add_argument(
        'config', nargs='?', default=DEFAULT,
        help=f'{CONFIG_HELP}; default: {DEFAULT}')
    parser.add_argument('--seed', type=int, default=0, help='default: 0')
    parser.add_argument('--work-dir', help='default: work_dirs/CONFIG')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE',
        help='override settings of the config, e.g. train_cfg.max_iters=100')
    return parser


def bare_pseudo_masks(runner: Runner) -> dict[str, float]:
    """Metrics of the pseudo-masks as prediction, with the backbone of the runner."""
    from mmwsfs.registry import MODELS

    model = runner.model
    baseline = MODELS.build({**runner.cfg.model, 'type': 'PseudoMaskSegmentor'})
    baseline.backbone, baseline.cache = model.backbone, model.cache
    runner.model = baseline.to(next(model.parameters()).device)
    try:
        return runner.test()
    finally:
        runner.model = model


def draw_episodes(runner: Runner, num_episodes: int) -> np.ndarray:
    """The first test episodes, one a row."""
    import numpy as np
    import torch
    from mmengine.dataset import pseudo_collate

    dataset = runner.test_dataloader.dataset
    model = runner.model
    model.eval()
    pictures = []
    with torch.no_grad():
        for number in range(num_episodes):
            sample = model.test_step(pseudo_collate([dataset[number]]))[0]
            pictures.append(
                runner.visualizer.draw_sample(sample, dataset.metainfo['classes']))
    return np.concatenate(pictures)


def main(argv: Sequence[str] | None = None) -> None:
    """Test, train, test again; print the table and draw the picture.

    Args:
        argv: arguments. Defaults to None, those of the process.
    """
    args = build_parser().parse_args(argv)
    start = time.time()
    path = resolved_config(args.config)
    import_openmmlab()
    cfg = Config.fromfile(path)
    cfg.merge_from_dict(args.cfg_options)
    cfg.randomness.seed = args.seed
    cfg.work_dir = args.work_dir or f'work_dirs/{Path(path).stem}'
    with one_sentence('demo'):
        compare(cfg, args.seed, start)


def compare(cfg: Config, seed: int, start: float) -> None:
    """The demo itself, of a config, begun at the time ``start`` in seconds."""
    from PIL import Image

    from mmwsfs.engine import CarefulRunner

    runner = CarefulRunner.from_cfg(cfg)
    runner.model.init_weights()
    logger = runner.logger
    logger.info('1 of 4: bare pseudo-masks as prediction, a test')
    rows = {'bare pseudo-masks': bare_pseudo_masks(runner)}
    logger.info('2 of 4: the untrained model, the same test')
    rows['untrained model'] = runner.test()
    logger.info('3 of 4: training from tags')
    runner.train()
    logger.info('4 of 4: the trained model, the same test')
    rows['trained from tags'] = runner.test()

    out = Path(cfg.work_dir)
    write_whole(out / 'demo.json', json.dumps(rows, indent=2) + '\n')
    Image.fromarray(draw_episodes(runner, 8)).save(out / 'demo.png')
    dataset = runner.test_dataloader.dataset
    print(f'Novel classes, {len(dataset)} episodes, {dataset.way}-way '
          f'{dataset.shot}-shot, seed {seed}')
    print(text_table(('prediction', 'exact ratio', 'mIoU'), [
        (name, f"{metrics['exact_ratio']:.1f}", f"{metrics['mIoU']:.1f}")
        for name, metrics in rows.items()]))
    print(f'{time.time() - start:.0f} s in all; picture: {out}/demo.png, '
          f'numbers: {out}/demo.json')
