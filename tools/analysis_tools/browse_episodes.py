"""Draw episodes of a config as pictures: supports, query and truth.

    browse_episodes.py CONFIG [--split test] [--num 8] [--out DIR]

Masks are painted where the config's pipeline loads them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from mmengine.registry import init_default_scope
from PIL import Image
from rich.progress import track
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))
from cli import add_common_arguments, load_config  # noqa: E402

from mmwsfs.datasets import EpisodeKey  # noqa: E402
from mmwsfs.registry import DATA_SAMPLERS, DATASETS  # noqa: E402
from mmwsfs.visualization import EpisodeVisualizer  # noqa: E402


def to_rgb(image: Tensor) -> np.ndarray:
    """(3, H, W) BGR -> (H, W, 3) RGB."""
    return np.ascontiguousarray(image.flip(0).permute(1, 2, 0).numpy())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='test')
    parser.add_argument('--num', type=int, default=8, help='how many episodes')
    parser.add_argument('--out', type=Path, default=Path('episodes'))
    add_common_arguments(parser)
    args = parser.parse_args()
    cfg = load_config(args)
    init_default_scope(cfg.default_scope)
    loader = cfg[f'{args.split}_dataloader']
    dataset = DATASETS.build(loader.dataset)
    keys = iter(DATA_SAMPLERS.build(
        loader.sampler, default_args=dict(dataset=dataset, seed=cfg.randomness.seed)))
    visualizer = EpisodeVisualizer()
    args.out.mkdir(parents=True, exist_ok=True)
    for number in track(range(min(args.num, len(dataset))), 'drawing'):
        key: EpisodeKey = next(keys)
        item = dataset[key]
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


if __name__ == '__main__':
    main()
