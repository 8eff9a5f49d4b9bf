"""Where the time of a prediction goes.

    predict_profile.py MODEL FOLDER [--weights FILE] [--num 100] [--out DIR]

Predicts photographs of a folder, over and over if there are fewer, with the first one
as the support, and prints which share of the time the backbone took, and what the rest
was. Reading and writing are done in other threads: counted is what the model waits for
them. On a processor OMP_NUM_THREADS=1 makes runs comparable; on a GPU the shares mean
little, since it works on while Python does.
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable
from concurrent.futures import Future
from cProfile import Profile
from itertools import cycle, islice
from pathlib import Path
from pstats import Stats

from mmengine.config import Config, DictAction
from rich.console import Console
from rich.table import Table
from torchvision.datasets.folder import is_image_file

from mmwsfs.apis import FewShotInferencer
from mmwsfs.apis.write_behind import WriteBehind


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model', help='a config file, or what else init_model takes')
    parser.add_argument('folder', type=Path, help='folder of photographs')
    parser.add_argument('--weights', help='checkpoint file')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--num', type=int, default=100, help='how many photographs')
    parser.add_argument('--out', type=Path, help='folder to write predictions to')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={},
        help='override settings of a config file: key=value ...')
    return parser.parse_args()


def seconds_in(stats: Stats, function: Callable) -> float:
    """Seconds in a function and in what it called; 0 where it was not."""
    code = inspect.unwrap(function).__code__
    key = (code.co_filename, code.co_firstlineno, code.co_name)
    # primitive calls, calls, own time, time, callers
    return stats.stats.get(key, (0, 0, 0., 0., {}))[3]  # type: ignore[attr-defined]


def main() -> None:
    args = parse_args()
    photographs = sorted(
        path for path in args.folder.iterdir() if is_image_file(path.name))
    if not photographs:
        raise SystemExit(f"predict_profile.py: folder '{args.folder}' has no images")
    model = args.model
    if args.cfg_options:
        model = Config.fromfile(model)
        model.merge_from_dict(args.cfg_options)
    inferencer = FewShotInferencer(model, args.weights, args.device)
    inferencer.set_supports({'it': photographs[0]})
    queries = list(islice(cycle(photographs), args.num))
    inferencer(queries[0])  # what is done once
    profile = Profile()
    with profile:
        for _ in inferencer.predict(queries, out_dir=args.out):
            pass
    stats = Stats(profile)
    total = stats.total_tt  # type: ignore[attr-defined]
    network = inferencer.model
    writing = seconds_in(stats, WriteBehind.wait)
    shares = {
        'backbone': seconds_in(stats, network.backbone.extract),
        'comparison with the supports': seconds_in(stats, network.way_logits),
        'decision at full size': seconds_in(stats, network.decide),
        'waiting for files to be written': writing,
        'waiting for photographs': seconds_in(stats, Future.result) - writing,
    }
    shares['all else'] = total - sum(shares.values())
    table = Table(title=f'{args.num} photographs, {total:.1f} s')
    table.add_column('part')
    table.add_column('ms a photograph', justify='right')
    table.add_column('share', justify='right')
    for part, seconds in shares.items():
        table.add_row(
            part, f'{1000 * seconds / args.num:.1f}', f'{100 * seconds / total:.1f} %')
    Console().print(table)


if __name__ == '__main__':
    main()
