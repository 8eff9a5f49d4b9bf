"""Draw episodes of a config as pictures: ``mmwsfs browse``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import track

from .common import (
    CONFIG_HELP,
    CommandParser,
    add_common_arguments,
    load_config,
    program,
)

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

DESCRIPTION = """\
Draw episodes of a config as pictures: supports, query and truth.

  mmwsfs browse vit-s_demo_1shot
  mmwsfs browse vit-s_pascal5i_1shot --split train --num 20 --out episodes

Masks are painted where the config's pipeline loads them.
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line of ``mmwsfs browse``."""
    parser = CommandParser(program('browse'), DESCRIPTION)
    parser.add_argument('config', help=CONFIG_HELP)
    parser.add_argument(
        '--split', choices=['train', 'val', 'test'], default='test',
        help='whose episodes; default: test')
    parser.add_argument(
        '--num', type=int, default=8, help='how many episodes; default: 8')
    parser.add_argument(
        '--out', type=Path, default=Path('episodes'),
        help='folder of the pictures; default: episodes')
    add_common_arguments(parser)
    return parser


def to_rgb(image: Tensor) -> np.ndarray:
    """(3, H, W) BGR -> (H, W, 3) RGB."""
    import numpy as np

    return np.ascontiguousarray(image.flip(0).permute(1, 2, 0).numpy())


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the first episodes of a split.

    Args:
        argv: arguments. Defaults to None, those of the process.
    """
    args = build_parser().parse_args(argv)
    cfg = load_config(args)
    from mmengine.registry import init_default_scope
    from PIL import Image

    from mmwsfs.registry import DATA_SAMPLERS, DATASETS
    from mmwsfs.visualization import EpisodeVisualizer

    init_default_scope(cfg.default_scope)
    loader = cfg[f'{args.split}_dataloader']
    dataset = DATASETS.build(loader.dataset)
    keys = iter(DATA_SAMPLERS.build(
        loader.sampler, default_args=dict(dataset=dataset, seed=cfg.randomness.seed)))
    visualizer = EpisodeVisualizer()
    args.out.mkdir(parents=True, exist_ok=True)
    for number in track(range(min(args.num, len(dataset))), 'drawing'):
        item = dataset[next(keys)]
        sample = item['data_samples']
        supports = item['inputs']['support']
        picture = visualizer.draw_episode(
            to_rgb(item['inputs']['query']),
            [[to_rgb(image) for image in images] for images in supports],
            [dataset.metainfo['classes'][i - 1] for i in sample.class_ids],
            support_masks=(
                sample.support_masks.numpy() if 'support_masks' in sample else None),
            truth=(sample.gt_sem_seg.data[0].numpy()
                   if 'gt_sem_seg' in sample else None))
        path = args.out / f'{args.split}_{number:04d}.png'
        Image.fromarray(picture).save(path)
    print(f'{args.out}/{args.split}_*.png')
