"""Train from tags (image-level labels) and compare on novel classes.

    python demo/demo.py [CONFIG] [--seed 0] [--work-dir DIR] [--cfg-options ...]

The default config makes its own images and takes its backbone from the Python package
index. At the end there is a table (exact ratio and mIoU of the trained model, of the
untrained one and of the bare pseudo-masks as prediction, on the same test episodes)
and a picture of the first test episodes.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config, DictAction
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from PIL import Image

from mmwsfs.models import FewShotSegmentor
from mmwsfs.registry import MODELS
from mmwsfs.utils.files import write_whole
from mmwsfs.utils.tables import text_table

DEFAULT = Path(__file__).parents[1] / 'configs/wsfs/vit-s_demo_1shot.py'


def bare_pseudo_masks(runner: Runner) -> dict[str, float]:
    """Metrics of the pseudo-masks as prediction, with the backbone of the runner."""
    model = runner.model
    baseline = MODELS.build({**runner.cfg.model, 'type': 'PseudoMaskSegmentor'})
    baseline.backbone, baseline.cache = model.backbone, model.cache
    runner.model = baseline.to(next(model.parameters()).device)
    try:
        return runner.test()
    finally:
        runner.model = model


@torch.no_grad()
def draw_episodes(runner: Runner, num_episodes: int) -> np.ndarray:
    """The first test episodes, one a row."""
    dataset = runner.test_dataloader.dataset
    model: FewShotSegmentor = runner.model
    model.eval()
    pictures = []
    for number in range(num_episodes):
        sample = model.test_step(pseudo_collate([dataset[number]]))[0]
        pictures.append(
            runner.visualizer.draw_sample(sample, dataset.metainfo['classes']))
    return np.concatenate(pictures)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', nargs='?', default=str(DEFAULT))
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--work-dir', help='default: work_dirs/CONFIG')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    args = parser.parse_args()

    start = time.time()
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    cfg.randomness.seed = args.seed
    cfg.work_dir = args.work_dir or f'work_dirs/{Path(args.config).stem}'
    runner = Runner.from_cfg(cfg)
    runner.model.init_weights()
    rows = {
        'bare pseudo-masks': bare_pseudo_masks(runner),
        'untrained model': runner.test(),
    }
    runner.train()
    rows['trained from tags'] = runner.test()

    out = Path(cfg.work_dir)
    write_whole(out / 'demo.json', json.dumps(rows, indent=2) + '\n')
    Image.fromarray(draw_episodes(runner, 8)).save(out / 'demo.png')
    dataset = runner.test_dataloader.dataset
    print(f'Novel classes, {len(dataset)} episodes, {dataset.way}-way '
          f'{dataset.shot}-shot, seed {args.seed}')
    print(text_table(('prediction', 'exact ratio', 'mIoU'), [
        (name, f"{metrics['exact_ratio']:.1f}", f"{metrics['mIoU']:.1f}")
        for name, metrics in rows.items()]))
    print(f'{time.time() - start:.0f} s in all; picture: {out}/demo.png, '
          f'numbers: {out}/demo.json')


if __name__ == '__main__':
    main()
