"""How far do masks for some of the images go? The curve over their share.

    supervision_curve.py dinov3-vit-s_pascal5i_1shot
    supervision_curve.py dinov3-vit-s_coco20i_1shot --seeds 0 1 2 --processes 4

CONFIG is of tags alone; trainings from masks for a share of the images, and for all,
follow from it. Each is trained and tested by tools/run_folds.py: the same folds, steps
and seeds. A seed draws the initial weights, the episodes and the images that keep their
masks.

What is finished is not done again, and what was begun goes on from its last checkpoint:
the command can be stopped or killed at any time and given again; with more seeds or
ratios it adds these. A run that fails names its log, and the others go on. After every
run curve.md, curve.json and curve.png are written into the work dir: means over the
folds, then mean and 95 % interval (Student's t) over the seeds, beside published ones.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from mmengine.logging import MMLogger

from mmwsfs.cli.common import CONFIG_HELP, resolved_config
from mmwsfs.utils.files import write_whole
from mmwsfs.utils.folder_lock import FolderLock
from mmwsfs.utils.run_error import RunError

sys.path.append(str(Path(__file__).parent))

from curve.points import Point, points  # noqa: E402
from curve.report import SCORES, markdown, plot, summarise  # noqa: E402
from curve.runs import Runs  # noqa: E402


def write_curve(args: argparse.Namespace,
                tables: Mapping[Point, Mapping[int, dict]]) -> str:
    """Write the curve of the runs that are finished.

    Args:
        args: the command's.
        tables: point -> seed -> what run_folds.py found, and ``mask_share``.

    Returns:
        str: its table.
    """
    first = next(table for of in tables.values() for table in of.values())
    curve = dict(
        config=Path(args.config).stem,
        **{key: first[key] for key in ('dataset', 'lists', 'restricted')},
        folds=args.folds, episodes=first['episodes'], cfg_options=args.cfg_options,
        rows=[dict(
            name=point.name, config=point.config, options=point.options,
            **summarise(of, tables[args.points[0]]))
            for point, of in tables.items() if of],
        published=first['published'])
    text = markdown(curve)
    write_whole(args.work_dir / 'curve.json', json.dumps(curve, indent=2) + '\n')
    write_whole(args.work_dir / 'curve.md', text)
    plot(curve, args.work_dir / 'curve.png')
    return text


def run(args: argparse.Namespace, lock: FolderLock) -> None:
    """All runs, seed by seed, and the curve after each of them.

    Raises:
        RunError: some failed.
    """
    runs = Runs(args.work_dir, [
        '--folds', *map(str, args.folds), '--way', *map(str, args.way),
        '--processes', str(args.processes)], args.cfg_options, lock)
    keys = [(point, seed) for seed in args.seeds for point in args.points]
    tables: dict[Point, dict[int, dict]] = {point: {} for point in args.points}
    failures = []
    text = ''
    with closing(runs.all(keys, args.jobs)) as results:
        for (point, seed), table in results:
            if isinstance(table, RunError):
                failures.append(str(table))
                print(table, flush=True)
                continue
            table['mask_share'] = point.mask_share(seed, args.cfg_options, args.folds)
            tables[point] = dict(sorted({**tables[point], seed: table}.items()))
            text = write_curve(args, tables)
            print(f'{point.name}, seed {seed}: ' + '; '.join(
                f'{column} ' + ', '.join(
                    f"{title} {cell['mean'][key]:.1f}" for key, title in SCORES.items())
                for column, cell in table['columns'].items()), flush=True)
    if text:
        print(f'\n{text}\nwritten to {args.work_dir}/curve.md, curve.json and '
              'curve.png', flush=True)
    if failures:
        raise RunError('\n'.join([
            f'{len(failures)} of {len(keys)} runs failed:', *failures,
            'What is finished stays; the same command continues.']))


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help=f'of tags alone: {CONFIG_HELP}')
    parser.add_argument(
        '--mixed', help='config with masks for a share; default: CONFIG with an '
        'enhanced labeler')
    parser.add_argument(
        '--pixel', help='config with masks for all; default: CONFIG with these')
    parser.add_argument(
        '--ratios', nargs='+', type=float, default=[0.01, 0.05, 0.1, 0.2],
        help='shares of images with masks; default: 0.01 0.05 0.1 0.2')
    parser.add_argument(
        '--seeds', nargs='+', type=int, default=[0], help='default: 0')
    parser.add_argument(
        '--folds', nargs='+', type=int, default=[0, 1, 2, 3], help='default: all four')
    parser.add_argument(
        '--way', nargs='+', type=int, default=[1, 2],
        help='classes of a test episode; default: 1 and 2')
    parser.add_argument(
        '--work-dir', type=Path, help='default: work_dirs/CONFIG_curve')
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE',
        help='override settings of all configs')
    parser.add_argument(
        '--processes', type=int, default=1,
        help='so many for a training or test, on as many GPUs; default: 1')
    parser.add_argument(
        '--jobs', type=int, default=1, help='runs at the same time; default: 1')
    args = parser.parse_args(argv)
    if args.jobs > 1 and args.processes > 1:
        parser.error('--jobs and --processes: only one of them above 1')
    for name in ('config', 'mixed', 'pixel'):
        if getattr(args, name):
            setattr(args, name, resolved_config(getattr(args, name)))
    if args.work_dir is None:
        args.work_dir = Path('work_dirs', f'{Path(args.config).stem}_curve')
    try:
        args.points = points(args.config, args.ratios, args.mixed, args.pixel)
    except ValueError as error:
        parser.error(str(error))
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the curve; SIGINT and SIGTERM end the running jobs as well."""
    MMLogger.get_current_instance().setLevel('WARNING')
    args = parse_args(argv)
    name = 'supervision_curve.py'
    stops = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(
        stop, lambda number, frame: sys.exit(128 + number)) for stop in stops]
    try:
        lock = FolderLock(args.work_dir, f'{name} or a run_folds.py that it started')
        try:
            run(args, lock)
        finally:
            lock.release()
    except RunError as error:
        raise SystemExit(f'{name}: {error}') from None
    finally:
        for stop, handler in zip(stops, before):
            signal.signal(stop, handler)


if __name__ == '__main__':
    main()
