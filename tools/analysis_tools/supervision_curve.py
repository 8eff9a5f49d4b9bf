"""How far do masks for some of the images go? The curve over their share.

    supervision_curve.py --image CONFIG --mixed CONFIG --pixel CONFIG
        [--ratios 0.01 0.05 0.1 0.2] [--seeds 0 1 2] [--folds 0 1 2 3]

Trains and tests, by tools/run_folds.py, from tags alone, from masks for a share of the
images and from masks for all: the same folds, steps and seeds each. A seed draws the
initial weights, the episodes and the images that keep their masks. What is finished is
not done again, so that the command can be stopped at any time and given again. Writes
curve.md, curve.json and curve.png into the work dir: means over the folds, then mean
and 95 % interval (Student's t) over the seeds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.config import Config, DictAction
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from scipy import stats

from mmwsfs.registry import DATASETS
from mmwsfs.utils.files import write_whole
from mmwsfs.utils.tables import markdown_table

RUN_FOLDS = Path(__file__).parents[1] / 'run_folds.py'
SCORES = dict(exact_ratio='exact ratio', mIoU='mIoU')
MASKS = 'train_dataloader.dataset'
COLUMNS = ('labels', 'images with masks', 'exact ratio', 'mIoU',
           'mIoU over tags alone, paired')


@dataclass(frozen=True)
class Point:
    """Trainings that differ in seed and fold alone.

    Attributes:
        name: of its folder and row.
        config: a config file.
        options: config options of the point.
    """

    name: str
    config: str
    options: tuple[str, ...] = ()

    def settings(self, seed: int, common: Sequence[str]) -> list[str]:
        """All config options of a seed."""
        masks = [f'{MASKS}.mask_seed={seed}'] if self.options else []
        return [f'randomness.seed={seed}', *masks, *self.options, *common]


def points(args: argparse.Namespace) -> list[Point]:
    """From tags alone to masks for all."""
    return [
        Point('image', args.image),
        *(Point(f'mixed-{ratio:g}', args.mixed, (f'{MASKS}.masks={ratio:g}', ))
          for ratio in sorted(args.ratios)),
        Point('pixel', args.pixel),
    ]


def run(point: Point, seed: int, args: argparse.Namespace) -> dict:
    """Train and test a point with a seed: ``table.json`` of run_folds.py.

    Raises:
        RuntimeError: a training or a test failed; the message names its log.
    """
    folder = args.work_dir / point.name / f'seed{seed}'
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / 'run_folds.log'
    command = [
        sys.executable, str(RUN_FOLDS), point.config, '--work-dir', str(folder),
        '--folds', *map(str, args.folds),
        '--cfg-options', *point.settings(seed, args.cfg_options)]
    with log.open('ab') as file:
        process = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT)
    if process.returncode:
        raise RuntimeError(
            f'{point.name}, seed {seed} failed: see the end of {log}. What is finished '
            'stays; the same command continues.')
    table = json.loads((folder / 'table.json').read_text())
    scores = table['columns']['1w1s']['mean']
    print(f'{point.name}, seed {seed}: ' + ', '.join(
        f'{title} {scores[key]:.1f}' for key, title in SCORES.items()), flush=True)
    return table


def mask_share(point: Point, seed: int, args: argparse.Namespace) -> float:
    """Share of the training images that carry a mask, in 0..1, mean over the folds."""
    shares = []
    for fold in args.folds:
        os.environ['MMWSFS_FOLD'] = str(fold)
        cfg = Config.fromfile(point.config)
        options = DictAction._parse_iterable
        cfg.merge_from_dict({
            key: options(value) for key, value in (
                option.split('=', 1) for option in point.settings(
                    seed, args.cfg_options))})
        init_default_scope(cfg.default_scope)
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
        images = {entry['name'] for entry in dataset.data_list}
        masked = dataset.masked_images
        shares.append(1. if masked is None else len(masked) / len(images))
    return float(np.mean(shares))


def interval(values: Sequence[float]) -> dict:
    """Mean and 95 % interval of Student's t; a single value has none."""
    mean = float(np.mean(values))
    low = high = None
    if len(values) > 1:
        half = stats.sem(values) * stats.t.ppf(0.975, len(values) - 1)
        low, high = mean - half, mean + half
    return dict(values=list(values), mean=mean, low=low, high=high)


def summarise(point: Point, share: float, tables: Sequence[dict],
              image: Sequence[dict]) -> dict:
    """A row: scores over the seeds, and the gain over tags alone, paired by seed."""
    row = dict(name=point.name, config=point.config, options=point.options, share=share)
    for key in SCORES:
        own, plain = (
            [table['columns']['1w1s']['mean'][key] for table in of]
            for of in (tables, image))
        row[key] = interval(own)
        row[f'{key}_gain'] = interval(np.subtract(own, plain).tolist())
    return row


def text(score: dict, sign: str = '') -> str:
    """'46.8 (43.6 to 49.8)'."""
    if score['low'] is None:
        return f"{score['mean']:{sign}.1f}"
    return f"{score['mean']:{sign}.1f} ({score['low']:{sign}.1f} to " \
           f"{score['high']:{sign}.1f})"


def markdown(curve: dict) -> str:
    """The rows as a table."""
    header = (
        f"Lists `{curve['lists']}`, folds {', '.join(map(str, curve['folds']))}, "
        f"{' or '.join(map(str, curve['episodes']))} episodes a fold, seeds "
        f"{', '.join(map(str, curve['seeds']))}: mean and 95 % interval over seeds.")
    rows = []
    for row in curve['rows']:
        name = {'image': 'tags alone', 'pixel': 'masks for all'}.get(row['name'])
        name = name or f"masks for {100 * float(row['name'].partition('-')[2]):g} %"
        gain = '' if row['name'] == 'image' else text(row['mIoU_gain'], '+')
        rows.append((
            name, f"{row['share']:.1%}", text(row['exact_ratio']), text(row['mIoU']),
            gain))
    return f'{header}\n\n{markdown_table(COLUMNS, rows)}\n'


def plot(curve: dict, path: Path) -> None:
    """Both scores over the share of images with masks, all seeds as dots."""
    from matplotlib.figure import Figure  # slow to import

    figure = Figure(figsize=(10, 4), layout='constrained')
    panels = figure.subplots(1, len(SCORES))
    rows = curve['rows']
    shares = [100 * row['share'] for row in rows]
    for panel, (key, title) in zip(panels, SCORES.items()):
        panel.plot(shares, [row[key]['mean'] for row in rows], 'o-', label='mean')
        for share, row in zip(shares, rows):
            values = row[key]['values']
            panel.plot([share] * len(values), values, 'k.', markersize=4, alpha=0.6)
        if len(curve['seeds']) > 1:
            panel.fill_between(
                shares, [row[key]['low'] for row in rows],
                [row[key]['high'] for row in rows], alpha=0.2, label='95 % interval')
        panel.set_xscale('symlog', linthresh=min(
            (share for share in shares if share), default=1))
        ticks = [round(share, 1) for share in shares]
        panel.set_xticks(shares, [f'{tick:g}' for tick in ticks])
        panel.set_xlabel('images with masks, %')
        panel.set_ylabel(f'{title}, %')
        panel.grid(alpha=0.3)
    panels[0].legend()
    figure.suptitle(
        f"{curve['lists']}, folds {', '.join(map(str, curve['folds']))}; seeds "
        f"{', '.join(map(str, curve['seeds']))}")
    figure.savefig(path, dpi=110)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--image', required=True, help='config that reads no mask')
    parser.add_argument('--mixed', required=True, help='config with masks for a share')
    parser.add_argument('--pixel', required=True, help='config that reads all masks')
    parser.add_argument(
        '--ratios', nargs='+', type=float, default=[0.01, 0.05, 0.1, 0.2])
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument('--folds', nargs='+', type=int, default=[0, 1, 2, 3])
    parser.add_argument(
        '--work-dir', type=Path, default=Path('work_dirs/supervision_curve'))
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE',
        help='override settings of all configs')
    parser.add_argument(
        '--jobs', type=int, default=1, help='trainings at the same time')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    MMLogger.get_current_instance().setLevel('WARNING')
    args = parse_args(argv)
    # Seed by seed, so that a curve can be looked at before all seeds are there.
    runs = [(point, seed) for seed in args.seeds for point in points(args)]
    with ThreadPoolExecutor(args.jobs) as pool:
        futures = {key: pool.submit(run, *key, args) for key in runs}
        tables = {key: future.result() for key, future in futures.items()}
    image = points(args)[0]
    first = tables[runs[0]]
    curve = dict(
        lists=first['lists'], folds=args.folds, episodes=first['episodes'],
        seeds=args.seeds, cfg_options=args.cfg_options,
        rows=[summarise(
            point, float(np.mean([mask_share(point, seed, args)
                                  for seed in args.seeds])),
            [tables[point, seed] for seed in args.seeds],
            [tables[image, seed] for seed in args.seeds]) for point in points(args)])
    write_whole(args.work_dir / 'curve.json', json.dumps(curve, indent=2) + '\n')
    write_whole(args.work_dir / 'curve.md', markdown(curve))
    plot(curve, args.work_dir / 'curve.png')
    print(f"\n{markdown(curve)}\nwritten to {args.work_dir}/curve.md, curve.json and "
          'curve.png')


if __name__ == '__main__':
    main()
