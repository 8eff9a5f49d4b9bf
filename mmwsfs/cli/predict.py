"""Find a new thing in photographs, given a few that show it.

MODEL is the name of a model that comes with mmwsfs: cst-photos, trained on
photographs, or prototypes, which needed no training. It may also be the file of one
that you trained, a checkpoint; or a config file, its checkpoint being --weights.

A QUERY is what is to be looked at: a photograph; a folder, with all its sub-folders; a
pattern in quotes, such as 'photos/**/*.jpg'; or a video, of which a frame is taken
every second (--every). Hidden files, results of earlier predictions and what is no
image (videos, too) are passed by in folders. A file named twice is looked at once.

examples:

A cat, shown by two photographs, in all photographs of a folder:
  mmwsfs predict cst-photos --support cat=a.jpg,b.jpg photos --out out

A cat and a dog, and lions that are not to pass for cats; only what is rather sure; also
as a data set for YOLO, and the photographs sorted into sorted/cat, sorted/dog and
sorted/none:
  mmwsfs predict cst-photos --support cat=a.jpg,b.jpg --support dog=c.jpg \\
      --not cat=lion.jpg --threshold 0.7 --export yolo --sort-into sorted \\
      photos 'more/*.png' --out out

What the sub-folders of things/ show, things/mug and things/pen, in a frame of a video
every two seconds, without a trained model:
  mmwsfs predict prototypes --support-dir things clip.mp4 --every 2 --out out

Open out/gallery.html to see what was found. out/vis has the photographs with the
classes upon them, out/cutouts what is of a class alone, out/pred label maps
(0 = background, then the classes in the order given), out/predictions.csv and .json the
numbers.

Queries that cannot be read are named at the end, and the exit status is then 1.
"""

from __future__ import annotations

import argparse
import errno
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, cast

from mmengine.config import Config, DictAction
from rich.console import Console
from rich.progress import track

from mmwsfs.utils.config_file import config_path
from mmwsfs.utils.find_photographs import find_photographs, is_image, is_video

from .common import CommandParser, import_openmmlab, program
from .predict_classes import find_supports, parse_classes
from .predict_table import PredictionTable

if TYPE_CHECKING:
    from mmwsfs.apis import FewShotInferencer

FORMATS = ('coco', 'yolo', 'labelme', 'png')
# The second argument of `predict.py CONFIG CHECKPOINT QUERY...` ends with one of these.
_WEIGHTS = ('.pth', '.pt', '.ckpt', '.safetensors')


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``mmwsfs predict``; its ``parse_intermixed_args`` is meant."""
    parser = CommandParser(
        program('predict'), __doc__ or '',
        usage='%(prog)s MODEL QUERY ... --support CLASS=IMAGE[,IMAGE...] --out DIR '
              '[option ...]')
    parser.add_argument(
        'model', metavar='MODEL',
        help='cst-photos, prototypes, a checkpoint file or a config file')
    parser.add_argument(
        'queries', nargs='+', metavar='QUERY',
        help='photograph, folder, pattern in quotes, or video')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR',
                        help='folder to write to')
    _add_supports(parser.add_argument_group('what to look for'))
    _add_decisions(parser.add_argument_group('what counts as found'))
    _add_results(parser.add_argument_group('what else is written'))
    machine = parser.add_argument_group('model and machine')
    machine.add_argument(
        '--weights', metavar='FILE', help='checkpoint, where MODEL is a config file')
    machine.add_argument(
        '--device', help='such as cpu or cuda:1; default: a GPU where there is one')
    machine.add_argument(
        '--batch-size', type=_at_least_one, default=1, metavar='N',
        help='photographs that are worked on at once; default: 1')
    machine.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE',
        help='override settings, where MODEL is a config file')
    return parser


def _add_supports(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '--support', action='append', default=[], metavar='CLASS=IMAGE[,IMAGE...]',
        help='a class, by any name, and photographs that show it; once for each class. '
        'A comma in a file\'s name is written \\,')
    group.add_argument(
        '--support-dir', type=Path, metavar='DIR',
        help='folder with one sub-folder of photographs for each class')
    group.add_argument(
        '--not', '--negative', dest='negatives', action='append', default=[],
        metavar='CLASS=IMAGE[,IMAGE...]',
        help='photographs of what a class is not, such as what it is taken for')
    group.add_argument(
        '--mask', action='append', default=[], metavar='CLASS=MASK[,MASK...]',
        help='images of the size of the class\'s photographs, in their order, that are '
        'not black where the class is; a model trained with masks needs them')


def _add_decisions(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '--threshold', type=_share, default=0.5, metavar='P',
        help='a class is present where its probability is above this; default: 0.5')
    group.add_argument(
        '--keep-absent', action='store_true',
        help='outline a class even where it is called absent')
    group.add_argument(
        '--edges', action='store_true',
        help='let outlines follow the colours of the photograph')
    group.add_argument(
        '--every', type=_seconds, default=1.0, metavar='SECONDS',
        help='between two frames of a video; default: 1')


def _add_results(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '--export', type=_formats, action='extend', default=[],
        metavar='FORMAT[,FORMAT...]',
        help='coco, yolo, labelme or png (a mask a class): the label maps in the form '
        'of other programs, in DIR/FORMAT')
    group.add_argument(
        '--sort-into', type=Path, metavar='DIR2',
        help='copy photographs to DIR2/CLASS, or DIR2/none where no class is present')


def _number(text: str, wanted: str, right: Callable[[float], bool]) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float('nan')
    if not right(number):
        raise argparse.ArgumentTypeError(f"'{text}' must be {wanted}")
    return number


def _share(text: str) -> float:
    return _number(text, 'a number of 0 to 1', lambda number: 0 <= number <= 1)


def _seconds(text: str) -> float:
    return _number(text, 'seconds, more than 0', lambda number: 0 < number < 1e9)


def _at_least_one(text: str) -> int:
    return int(_number(
        text, 'a whole number of at least 1',
        lambda number: number >= 1 and number.is_integer()))


def _formats(text: str) -> list[str]:
    formats = [part.strip() for part in text.split(',')]
    for name in formats:
        if name not in FORMATS:
            raise argparse.ArgumentTypeError(
                f"'{name}' must be one of {', '.join(FORMATS)}")
    return formats


def take_weights(args: argparse.Namespace) -> None:
    """Read `CONFIG CHECKPOINT QUERY...`, the form of before, as ``--weights``."""
    first, *others = args.queries
    if args.weights is None and others and (
            first == 'none' or first.endswith(_WEIGHTS)):
        args.weights, args.queries = first, others
    if args.weights == 'none':
        args.weights = None


def find_queries(args: argparse.Namespace) -> tuple[list[Path], list[Exception]]:
    """All photographs, those of videos written to ``DIR/frames``.

    Returns:
        tuple: the photographs, and the errors of damaged videos.

    Raises:
        FileNotFoundError, ValueError, OSError: see :func:`.find_photographs`.
    """
    photographs: list[Path] = []
    errors: list[Exception] = []
    passed_by = [path for path in (args.out, args.sort_into) if path]
    paths = find_photographs(args.queries, passed_by)
    folders: set[str] = set()
    check_folder(args.out)
    for path in paths:
        if not is_video(path):
            photographs.append(path)
            continue
        from mmwsfs.utils.video_frames import write_frames  # OpenCV takes a while
        folder, number = path.stem, 1
        while folder.casefold() in folders:
            number += 1
            folder = f'{path.stem}_{number}'
        folders.add(folder.casefold())
        try:
            photographs += write_frames(
                path, args.out / 'frames' / folder, args.every)
        except ValueError as error:
            errors.append(error)
    return photographs, errors


def check_folder(folder: Path) -> None:
    """That results can be written to a folder, before any work; nothing is left there.

    Raises:
        ValueError: nothing can be written to it.
    """
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        if new:
            folder.rmdir()
    except OSError as error:
        raise ValueError(
            f"cannot write to '{folder}' ({error.strerror}): name another folder by "
            '--out') from error


def build_inferencer(args: argparse.Namespace) -> FewShotInferencer:
    """The model of the arguments, ready for supports.

    Raises:
        ValueError: the model, the device or the options are none.
        FileNotFoundError: a file is missing.
    """
    path = Path(args.model)
    if path.is_dir() or is_image(path) or is_video(path):
        raise ValueError(
            f"'{args.model}' is no model: name one before the photographs, such as "
            'mmwsfs predict cst-photos ...')
    if args.cfg_options and path.suffix not in ('.py', '.json', '.yaml', '.yml'):
        raise ValueError(
            f"--cfg-options override a config file's settings, and '{args.model}' is "
            'none: name one as MODEL, and the checkpoint by --weights')
    import_openmmlab()
    import torch

    from mmwsfs.apis import FewShotInferencer
    try:
        torch.empty(0, device=args.device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device '{args.device}' cannot be used: {str(error).splitlines()[0]}"
        ) from error
    model = args.model
    if args.cfg_options:
        model = Config.fromfile(config_path(model))
        model.merge_from_dict(args.cfg_options)
    return FewShotInferencer(model, args.weights, args.device)


def run(args: argparse.Namespace) -> list[Exception]:
    """Predict, write, and print the table; give the errors of damaged queries."""
    take_weights(args)
    supports = find_supports(args.support, args.support_dir)
    masks = parse_classes('--mask', args.mask)
    negatives = parse_classes('--not', args.negatives)
    queries, errors = find_queries(args)
    inferencer = build_inferencer(args)
    inferencer.set_supports(supports, masks, negatives)

    from mmwsfs.apis.exports import open_exports
    table = PredictionTable(list(supports))
    results = cast('Generator[dict, None, None]', inferencer.predict(
        queries, batch_size=args.batch_size, out_dir=args.out,
        on_error=lambda query, error: errors.append(error),
        threshold=args.threshold, absent_pixels=args.keep_absent,
        edges=args.edges))
    terminal = Console(stderr=True)
    try:
        with open_exports(args.out, args.export, list(supports), queries,
                          args.sort_into) as exports, closing(results):
            for result in track(results, 'predicting', len(queries), console=terminal,
                                transient=True, disable=not terminal.is_terminal):
                table.add(result)
                exports.add(result)
    except KeyboardInterrupt:
        print(f"{program('predict')}: stopped; the first {table.queries} of "
              f'{len(queries)} are in {args.out}', file=sys.stderr)
        raise
    Console(markup=False, emoji=False, highlight=False).print(table.table())
    print(f'to look at: {args.out}/gallery.html, pictures: {args.out}/vis, label maps: '
          f'{args.out}/pred, numbers: {args.out}/predictions.csv')
    return errors


def main(argv: Sequence[str] | None = None) -> None:
    """Run ``mmwsfs predict``.

    Args:
        argv: its arguments. Defaults to None, those of the process.

    Raises:
        SystemExit: something failed; it says what.
    """
    args = build_parser().parse_intermixed_args(argv)
    try:
        errors = run(args)
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # as shells have it
    except (OSError, TypeError, ValueError) as error:
        raise SystemExit(f"{program('predict')}: {_sentence(error)}") from error
    if errors:
        raise SystemExit(
            '\n'.join(f"{program('predict')}: {error}" for error in errors))


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return (f"the disk is full: '{error.filename}' is not written; make room and "
                'start again: what was written before is whole')
    return str(error)
