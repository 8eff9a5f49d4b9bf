"""mmwsfs publish: one small file of a training's checkpoint, to be given away."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from .common import CommandParser, import_openmmlab, program

DESCRIPTION = """\
Make one file of a checkpoint that is all one needs to predict:

  mmwsfs publish work_dirs/RUN/iter_500.pth my-model.safetensors
  mmwsfs predict my-model.safetensors --support cat=a.jpg,b.jpg photos/

The file has the weights, what was fitted, and of the config what predicting needs.
What only training needs is left out, and so is a frozen backbone, which is fetched
again from where the config says, and compared. Matrices are stored in half precision.

The checkpoint stays as it is, and nothing that it contains is run.
"""


def build_parser() -> argparse.ArgumentParser:
    """The arguments of ``mmwsfs publish``."""
    parser = CommandParser(program('publish'), DESCRIPTION)
    parser.add_argument(
        'checkpoint', type=Path, help='a checkpoint of a training run')
    parser.add_argument(
        'out', type=Path, help='file to write: .safetensors, or .pth for PyTorch alone')
    parser.add_argument(
        '--config', help='config to put into the file; default: the one that the '
        'checkpoint carries')
    parser.add_argument(
        '--dtype', choices=('float16', 'float32'), default='float16',
        help='of matrices and kernels; biases and the like always stay single '
        'precision; default: %(default)s')
    parser.add_argument(
        '--with-backbone', action='store_true',
        help='keep the frozen backbone: a large file that needs nothing else')
    parser.add_argument(
        '--licence', '--license', default='', metavar='TEXT',
        help='under which the file is given away, such as CC-BY-4.0')
    parser.add_argument(
        '--description', default='', metavar='TEXT',
        help='what the model is, for whoever opens the file')
    parser.add_argument(
        '--hash', action='store_true',
        help="put the first 8 digits of the file's own sha256 into its name, as "
        'OpenMMLab does')
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        argv: its arguments. Defaults to None, those of the process.
    """
    args = build_parser().parse_args(argv)
    import_openmmlab()
    from mmwsfs.apis.publishing import publish
    try:
        print(publish(
            args.checkpoint, args.out, config=args.config, dtype=args.dtype,
            with_backbone=args.with_backbone, licence=args.licence,
            description=args.description, with_hash=args.hash))
    except (OSError, ValueError) as error:
        raise SystemExit(f"{program('publish')}: {error}") from error
