"""Put methods side by side on the same episodes, and say what each was given.

    compare_methods.py [NAME=]CONFIG[:CHECKPOINT] ... --work-dir DIR [--folds 0 1 2 3]
        [--way 1] [--shot 1] [--protocol FS-CS] [--cfg-options ...]

Every method is tested by tools/test.py in DIR/NAME/fold{i}; a CHECKPOINT may hold
{fold} in the place of the fold's number, and a model that needs no training has none.
That all were asked the same episodes is checked. What is finished is not done again, so
that the command can be stopped at any time and given again. The table is printed and
comes, with the reports, in DIR/comparison.md and DIR/comparison.json. Numbers are in
per cent, with 95 % intervals over the episodes; several folds have a row each, and
their mean. Tests of other settings, such as another way, need another DIR.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from mmengine.config import Config
from mmengine.logging import MMLogger

from mmwsfs.cli.common import add_common_arguments, load_config
from mmwsfs.utils.file_names import file_stem
from mmwsfs.utils.files import file_sha256, write_whole
from mmwsfs.utils.folder_lock import FolderLock
from mmwsfs.utils.run_error import RunError
from mmwsfs.utils.run_identity import settings_digest
from mmwsfs.utils.tables import markdown_table, text_table
from mmwsfs.utils.work_dir import finished_test

TEST = Path(__file__).parents[1] / 'test.py'
# Those that a report has come into the table, in this order.
SCORES = dict(
    exact_ratio='exact ratio', presence_AUC='presence AUC', ECE='ECE', mIoU='mIoU')
FACTS = dict(
    masks_in_training='masks used in training', support_needs='a support needs',
    class_name_known='class name known', selection='checkpoint by')
NEEDS = dict(
    image='tag', pixel='mask', mixed='tag, or mask')  # by supervision
# Settings of a test dataset in which methods may differ: what they are given.
GIVEN = ('data_root', 'masks', 'mask_seed', 'support_masks')


@dataclass(frozen=True)
class Method:
    """A row of the table.

    Attributes:
        name: of the row and the folder.
        config: a config file.
        checkpoint: a file, with ``{fold}`` for the fold's number, or None.
    """

    name: str
    config: str
    checkpoint: str | None

    @classmethod
    def parse(cls, text: str) -> Method:
        """From ``[NAME=]CONFIG[:CHECKPOINT]``."""
        name, equals, rest = text.partition('=')
        if not equals:
            name, rest = '', text
        config, _, checkpoint = rest.partition(':')
        return cls(name or Path(config).stem, config, checkpoint or None)

    def weights(self, fold: int) -> Path | None:
        """The checkpoint of a fold."""
        if self.checkpoint is None:
            return None
        return Path(self.checkpoint.replace('{fold}', str(fold)))


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'methods', nargs='+', type=Method.parse, metavar='[NAME=]CONFIG[:CHECKPOINT]')
    parser.add_argument('--work-dir', type=Path, required=True)
    parser.add_argument('--folds', nargs='+', type=int, default=[0], metavar='FOLD')
    parser.add_argument('--way', type=int, default=1)
    parser.add_argument('--shot', type=int, default=1)
    parser.add_argument('--protocol', choices=('FS-CS', 'FS-S'), default='FS-CS')
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE',
        help='override settings of all configs')
    args = parser.parse_args(argv)
    names = [file_stem(method.name) for method in args.methods]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        parser.error(f"two methods are called '{twice}': give names, NAME=CONFIG")
    return args


def fail(message: str) -> NoReturn:
    """End with a message and status 1."""
    raise SystemExit(f'compare_methods.py: {message}')


def settings(args: argparse.Namespace, fold: int) -> list[str]:
    """The arguments that tools/test.py takes the settings from."""
    options = ['--cfg-options', *args.cfg_options] if args.cfg_options else []
    return ['--fold', str(fold), '--way', str(args.way), '--shot', str(args.shot),
            '--protocol', args.protocol, *options]


def read_config(method: Method, arguments: Sequence[str]) -> Config:
    """A method's config as tools/test.py reads it."""
    parser = argparse.ArgumentParser()
    parser.add_argument('config')
    add_common_arguments(parser)
    before = dict(os.environ)
    try:
        return load_config(parser.parse_args([method.config, *arguments]))
    finally:
        os.environ.clear()
        os.environ.update(before)


def test(method: Method, fold: int, args: argparse.Namespace) -> dict:
    """The report of a test, made now or before, and the episodes that were asked."""
    arguments, weights = settings(args, fold), method.weights(fold)
    if weights is not None and not weights.is_file():
        fail(f"{method.name}: checkpoint '{weights}' does not exist")
    cfg = read_config(method, arguments)
    if weights is None and cfg.get('train_dataloader') is not None:
        fail(f"{method.name}: '{method.config}' is of a model that is trained: give "
             'CONFIG:CHECKPOINT')
    wanted = (settings_digest(cfg), None if weights is None else file_sha256(weights))
    folder = args.work_dir / file_stem(method.name) / f'fold{fold}'
    title = f'{method.name}, fold {fold}'
    report = finished_test(folder, *wanted)
    if report is None:
        log = folder / 'test.log'
        folder.mkdir(parents=True, exist_ok=True)
        print(f'{title}: testing; log: {log}', flush=True)
        checkpoint = [] if weights is None else [str(weights)]
        status = execute(
            [method.config, *checkpoint, '--work-dir', str(folder), *arguments], log)
        report = finished_test(folder, *wanted)
        if status or report is None:
            lines = log.read_text(errors='replace').strip().splitlines()
            fail(f'{title} failed with status {status}: '
                 f"{lines[-1] if lines else 'no output'}\nlog: {log}\n"
                 'What is finished stays; the same command continues.')
    else:
        print(f'{title} is finished already', flush=True)
    dataset = (cfg.get('train_dataloader') or {}).get('dataset', {})
    joined = {part.get('masks') for part in dataset.get('datasets', (dataset, ))}
    masks = joined.pop() if len(joined) == 1 else ' and '.join(map(str, joined))
    return dict(report, masks_in_training=masks, episodes=episodes(folder, report))


def execute(arguments: Sequence[str], log: Path) -> int:
    """Run tools/test.py to its end, its output in a log file: its exit status."""
    with log.open('ab') as file:
        return subprocess.run(
            [sys.executable, TEST, *arguments], stdout=file, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL).returncode


def episodes(folder: Path, report: dict) -> Any:
    """The episodes of a finished test, as its episode file has them."""
    path = next(
        path for path in sorted(folder.glob('*/results.json'), reverse=True)
        if json.loads(path.read_text()) == report)
    return json.loads((path.parent / 'episodes.json').read_text())


def check_same_question(fold: int, reports: dict[str, dict]) -> None:
    """End where two methods were not asked the same."""
    def question(report: dict) -> dict:
        given = dict(report['dataset']['settings'])
        return dict(
            {f'test_dataloader.dataset.{key}': value for key, value in given.items()
             if key not in GIVEN},
            **{'test_evaluator.void': report['void']}, episodes=report['episodes'])

    (first, report), *others = reports.items()
    expected = question(report)
    for name, report in others:
        found = question(report)
        for key in sorted(expected.keys() | found.keys()):
            if expected.get(key) != found.get(key):
                values = '' if key == 'episodes' else (
                    f', {expected.get(key)!r} and {found.get(key)!r}')
                fail(f'fold {fold}: {first} and {name} differ in {key}{values}: '
                     'compare configs of one data set and one image size')


def facts(report: dict) -> dict[str, str]:
    """What a method was given."""
    masks = report['masks_in_training']
    if masks is None:
        used = 'no training'
    elif isinstance(masks, float):
        used = f'{100 * masks:g} %'
    else:
        used = dict(none='0 %', all='100 %').get(masks, f'those of {masks}')
    return dict(masks_in_training=used, support_needs=NEEDS[report['supervision']],
                class_name_known='no',  # classes are numbers here, for all models
                selection=report['selection'])


def compare(reports: dict[int, dict[str, dict]]) -> list[dict]:
    """Rows of the table: of every method its folds, then their mean.

    Args:
        reports: fold -> method -> report.
    """
    rows = []
    for name in next(iter(reports.values())):
        scores = []
        for fold, of_fold in reports.items():
            metrics = of_fold[name]['metrics']
            scores.append({
                key: {part: metrics[full] for part, full in (
                    ('value', key), ('low', f'{key}_low'), ('high', f'{key}_high'))
                      if full in metrics}
                for key in SCORES if key in metrics})
            rows.append(dict(method=name, fold=fold, **facts(of_fold[name]),
                             scores=scores[-1]))
        if len(scores) > 1:
            rows.append(dict(
                method=name, fold='mean', **facts(of_fold[name]), scores={
                    key: dict(value=sum(s[key]['value'] for s in scores) / len(scores))
                    for key in SCORES if all(key in s for s in scores)}))
    return rows


def cells(rows: Sequence[dict]) -> tuple[list[str], list[list[str]]]:
    """Header and cells of the table."""
    keys = [key for key in SCORES if any(key in row['scores'] for row in rows)]

    def number(score: dict | None) -> str:
        if score is None:
            return ''
        interval = (
            f" ({score['low']:.1f} .. {score['high']:.1f})" if 'low' in score else '')
        return f"{score['value']:.1f}{interval}"

    return (
        ['method', 'fold', *FACTS.values(), *(SCORES[key] for key in keys)],
        [[row['method'], str(row['fold']), *(row[key] for key in FACTS),
          *(number(row['scores'].get(key)) for key in keys)] for row in rows])


def main(argv: Sequence[str] | None = None) -> None:
    # Reading a config tells of every variable in it, every time.
    MMLogger.get_current_instance().setLevel('WARNING')
    args = parse_args(argv)
    try:
        lock = FolderLock(args.work_dir, 'compare_methods.py')
    except RunError as error:
        fail(str(error))
    try:
        reports: dict[int, dict[str, dict]] = {}
        for fold in args.folds:
            reports[fold] = {
                method.name: test(method, fold, args) for method in args.methods}
            check_same_question(fold, reports[fold])
    finally:
        lock.release()
    rows = compare(reports)
    header, body = cells(rows)
    count = len(next(iter(reports[args.folds[0]].values()))['episodes']['episodes'])
    title = (f'{args.protocol}, {args.way}-way {args.shot}-shot, the same {count} '
             'episodes a fold for all; per cent, 95 % intervals over the episodes.')
    for method_reports in reports.values():
        for report in method_reports.values():
            del report['episodes']
    options = (f"\nWith `--cfg-options {' '.join(args.cfg_options)}`.\n"
               if args.cfg_options else '')
    write_whole(args.work_dir / 'comparison.json', json.dumps(
        dict(title=title, cfg_options=args.cfg_options, rows=rows, reports=reports),
        indent=2) + '\n')
    write_whole(
        args.work_dir / 'comparison.md',
        f'{title}\n\n{markdown_table(header, body)}\n{options}')
    print(f'{title}\n{text_table(header, body)}\nwritten to '
          f'{args.work_dir}/comparison.md and {args.work_dir}/comparison.json')


if __name__ == '__main__':
    main()
