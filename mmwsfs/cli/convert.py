"""Bring data sets and checkpoints of others into our form: ``mmwsfs convert``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from .common import CONFIG_HELP, CommandParser, import_openmmlab, program

DESCRIPTION = """\
Bring a data set, or a checkpoint of another code, into our form.

  mmwsfs convert demo-shapes data/demo_shapes
  mmwsfs convert pascal5i data/splits/pascal5i --lists DIR_OR_URL
  mmwsfs convert cst released.ckpt cst.pth

'mmwsfs convert WHAT --help' tells more.
"""
PASCAL = """\
Pascal-5i split lists: from published lists, or from the masks.

  mmwsfs convert pascal5i OUT --lists DIR_OR_URL
      copies trn/fold*.txt and val/fold*.txt from a folder, or from a URL under which
      they lie, after checking them.
  mmwsfs convert pascal5i OUT --masks VOC [--val-images FILE] [--min-area 2048]
      makes lists from VOC/SegmentationClassAug: an image is listed for a class that
      covers at least so many pixels of its mask. The published lists leave out small
      objects by a rule that nobody wrote down; this is a documented stand-in, and
      numbers measured with it do not compare with published ones.

OUT is a folder such as data/splits/pascal5i. The counts are printed at the end.
"""
COCO = """\
COCO-20i split lists: from published lists, or from the annotations.

  mmwsfs convert coco20i OUT --lists DIR_OR_URL
      copies trn/fold*.json.gz and val/fold*.json.gz from a folder, or from a URL
      under which they lie, after checking them.
  mmwsfs convert coco20i OUT --annotations TRAIN.json VAL.json [--min-area 2048]
      makes lists from COCO JSON files: an image is listed for a class whose objects,
      crowds left out, have at least so many pixels in sum. Training lists hold
      TRAIN's images, test lists VAL's. How the published lists were made nobody wrote
      down; this is a documented stand-in, and numbers measured with it do not compare
      with published ones.

A list is gzipped JSON, {class index 0..79: [image files]}. OUT is a folder such as
data/splits/coco20i. The counts are printed at the end.
"""
SHAPES = """\
Write the painted toys of the demo: images, masks and lists.

  mmwsfs convert demo-shapes data/demo_shapes
"""
CST = """\
Convert a released CST checkpoint (PyTorch Lightning) to one of mmwsfs.

  mmwsfs convert cst SRC DST [--config CONFIG] [--backbone FILE]
      takes backbone.* and learner.* out of SRC and writes a checkpoint that
      'mmwsfs test CONFIG DST' loads.

Nothing that SRC contains is run. What was used and what was left is printed.
"""
UPGRADE = """\
Bring a checkpoint of an older release up to date.

  mmwsfs convert upgrade OLD.pth NEW.pth

Before supervision was the model's own setting, the metric and the prototype maps
lay within the neck. Their weights and predictions are the same. The prior of before,
of pairs of images, has gone and is left out. The new file holds the weights alone: it
is no checkpoint to resume from. What needs no change is copied.
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line of ``mmwsfs convert``."""
    parser = CommandParser(program('convert'), DESCRIPTION)
    forms = parser.add_subparsers(
        dest='form', metavar='WHAT', required=True, parser_class=CommandParser,
        help='one of these:')
    _add_pascal(_form(forms, 'pascal5i', PASCAL))
    _add_coco(_form(forms, 'coco20i', COCO))
    _add_shapes(_form(forms, 'demo-shapes', SHAPES))
    _add_cst(_form(forms, 'cst', CST))
    _add_upgrade(_form(forms, 'upgrade', UPGRADE))
    return parser


def _form(forms: argparse._SubParsersAction, name: str, description: str
          ) -> argparse.ArgumentParser:
    parser = forms.add_parser(
        name, prog=program(f'convert {name}'), description=description,
        help=description.partition('\n')[0].rstrip('.'))
    parser.set_defaults(parser=parser)
    return parser


def _add_pascal(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('out', type=Path, help='folder for the lists')
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--lists', help='folder or URL of published lists')
    source.add_argument(
        '--masks', type=Path, help='VOCdevkit/VOC2012, to make lists from its masks')
    parser.add_argument(
        '--train-images', type=Path,
        help='with --masks: file of training image names, one a line')
    parser.add_argument(
        '--val-images', type=Path,
        help='with --masks: file of test image names; default: '
        'VOC/ImageSets/Segmentation/val.txt, and all others train')
    parser.add_argument('--min-area', type=int, default=2048, help='pixels')


def _add_coco(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('out', type=Path, help='folder for the lists')
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--lists', help='folder or URL of published lists')
    source.add_argument(
        '--annotations', type=Path, nargs=2, metavar=('TRAIN', 'VAL'),
        help='COCO JSON files, to make lists from them')
    parser.add_argument('--min-area', type=float, default=2048, help='pixels')


def _add_shapes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('out', type=Path, help='folder to make; must not exist')
    parser.add_argument('--seed', type=int, default=0, help='default: 0')


def _add_cst(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('src', type=Path, help='released CST checkpoint')
    parser.add_argument('dst', type=Path, help='file to write')
    parser.add_argument(
        '--config', default='vit-s_pascal5i_1shot',
        help=f'{CONFIG_HELP}; default: CST on DINO ViT-S/8, Pascal-5i')
    parser.add_argument(
        '--backbone', metavar='FILE',
        help='DINO checkpoint (file or URL), where SRC leaves the backbone out')


def _add_upgrade(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('old', type=Path, help='checkpoint of an older release')
    parser.add_argument('new', type=Path, help='file to write')


def main(argv: Sequence[str] | None = None) -> None:
    """Convert.

    Args:
        argv: arguments. Defaults to None, those of the process.
    """
    args, unknown = build_parser().parse_known_args(argv)
    if unknown:
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    import_openmmlab()
    module = import_module(
        f"mmwsfs.cli.converters.{args.form.replace('-', '_')}")
    try:
        module.run(args, args.parser)
    except (OSError, ValueError) as error:
        raise SystemExit(f'{args.parser.prog}: {error}') from error
