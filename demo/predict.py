"""Find new classes in images, given a few example images of each.

    predict.py CONFIG CHECKPOINT --support cat=a.jpg,b.jpg --support dog=c.jpg
        QUERY [QUERY ...] --out DIR
    predict.py CONFIG CHECKPOINT --support-dir DIR QUERY [QUERY ...] --out DIR

A QUERY is an image or a folder of images. --support-dir takes a folder with one
sub-folder of images for each class. Hidden files and folders (.NAME) are passed by. A
model trained with masks needs those of the supports as well: --mask cat=a.png,b.png.
--negative cat=lion.jpg shows what the class is not, such as what it is taken for. After
--support, --mask and --negative, a comma in a file's name is written \\, and CHECKPOINT
is none for a model that needs no training.

DIR gets a picture of every query (vis/), its label map (pred/: 0 = background, then
the classes in the order given) and the probabilities of presence (predictions.json).
Queries that cannot be read are named at the end, and the exit status is then 1.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config, DictAction
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torchvision.datasets.folder import is_image_file

from mmwsfs.apis import FewShotInferencer
from mmwsfs.utils.file_names import on_disk, printable


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file, or none')
    parser.add_argument(
        'queries', nargs='+', type=Path, metavar='QUERY',
        help='image, or folder of images')
    parser.add_argument(
        '--support', action='append', default=[], metavar='CLASS=IMAGE[,IMAGE...]',
        help='a class and images that show it; once for each class')
    parser.add_argument(
        '--support-dir', type=Path, help='folder with one sub-folder for each class')
    parser.add_argument(
        '--mask', action='append', default=[], metavar='CLASS=MASK[,MASK...]',
        help='the masks of the images of a class, in their order')
    parser.add_argument(
        '--negative', action='append', default=[], metavar='CLASS=IMAGE[,IMAGE...]',
        help='a class and images of what it is not')
    parser.add_argument('--out', type=Path, required=True, help='folder to write to')
    parser.add_argument('--device', help='default: a GPU where there is one')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={},
        help='override settings of the config: key=value ...')
    return parser.parse_intermixed_args()


def images_in(folder: Path) -> list[Path]:
    """The image files right in a folder, by name, without hidden ones.

    Raises:
        ValueError: there is none.
    """
    images = sorted(path for path in folder.iterdir()
                    if is_image_file(path.name) and not path.name.startswith('.'))
    if not images:
        raise ValueError(f"folder '{folder}' has no images")
    return images


def parse_classes(option: str, values: Sequence[str]) -> dict[str, list[Path]]:
    r"""CLASS=FILE[,FILE...] of an option's values, ``\,`` for a comma of a name.

    Raises:
        ValueError: a value is of another form, or names a class again.
        FileNotFoundError: a file is missing.
    """
    classes: dict[str, list[Path]] = {}
    for value in values:
        name, _, files = value.partition('=')
        paths = [path.replace('\\,', ',') for path in re.split(r'(?<!\\),', files)]
        if not name or not all(paths):
            raise ValueError(
                f"cannot read '{option} {value}': write {option} CLASS=FILE[,FILE...]")
        if name in classes:
            raise ValueError(
                f"{option} names class '{name}' twice: write {option} "
                f'{name}=FILE,FILE,...')
        try:
            classes[name] = [existing(path) for path in paths]
        except FileNotFoundError as error:
            folder = (
                ', or give folders by --support-dir' if option == '--support' else '')
            raise FileNotFoundError(
                f"{error}: {option} takes files separated by commas; write a comma in "
                f"a file's name as '\\,'{folder}") from None
    return classes


def existing(name: str | Path) -> Path:
    """The path of a name, or of the name without the spaces around it.

    Raises:
        FileNotFoundError: there is nothing.
    """
    for form in (str(name), str(name).strip()):
        path = Path(on_disk(form))
        if path.exists():
            return path
    raise FileNotFoundError(f"'{name}' does not exist")


def find_supports(values: Sequence[str], folder: Path | None) -> dict[str, list[Path]]:
    """Images of every class: of --support, then of --support-dir.

    Raises:
        ValueError: there is none, or a class is given twice or without images.
        FileNotFoundError: a file or folder is missing.
    """
    supports = parse_classes('--support', values)
    if folder is not None:
        folders = sorted(path for path in existing(folder).iterdir()
                         if path.is_dir() and not path.name.startswith('.'))
        if not folders:
            raise ValueError(
                f"--support-dir '{folder}' has no sub-folders: put the images of each "
                'class into one that has its name')
        for path in folders:
            if path.name in supports:
                raise ValueError(
                    f"class '{path.name}' is given twice: by --support and in "
                    f"--support-dir '{folder}'")
            supports[path.name] = images_in(path)
    if not supports:
        raise ValueError(
            'no supports: show each class by --support CLASS=IMAGE[,IMAGE...], or all '
            'of them by --support-dir DIR')
    return supports


def run(args: argparse.Namespace) -> list[Exception]:
    """Predict, write, and print the table; give the errors of damaged queries."""
    supports = find_supports(args.support, args.support_dir)
    masks = parse_classes('--mask', args.mask)
    negatives = parse_classes('--negative', args.negative)
    queries = [
        path for query in map(existing, args.queries)
        for path in (images_in(query) if query.is_dir() else [query])]
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    checkpoint = None if args.checkpoint == 'none' else args.checkpoint
    inferencer = FewShotInferencer(cfg, checkpoint, args.device)
    inferencer.set_supports(supports, masks, negatives)

    table = Table()
    for column in ('query', 'present', 'absent'):
        table.add_column(column, overflow='fold')
    errors: list[Exception] = []
    results = inferencer.predict(
        queries, out_dir=args.out, on_error=lambda query, error: errors.append(error))
    for result in track(results, 'predicting', len(queries)):
        cells: dict[bool, list[str]] = {True: [], False: []}
        for name, probability in result['presence'].items():
            cells[name in result['present']].append(f'{name} {probability:.2f}')
        table.add_row(*map(printable, (
            result['image'], ', '.join(cells[True]), ', '.join(cells[False]))))
    Console(markup=False, emoji=False).print(table)
    print(f'pictures: {args.out}/vis, label maps: {args.out}/pred, numbers: '
          f'{args.out}/predictions.json')
    return errors


def main() -> None:
    args = parse_args()
    try:
        errors = run(args)
    except (OSError, ValueError) as error:
        raise SystemExit(f'predict.py: {error}') from error
    if errors:
        raise SystemExit('\n'.join(f'predict.py: {error}' for error in errors))


if __name__ == '__main__':
    main()
