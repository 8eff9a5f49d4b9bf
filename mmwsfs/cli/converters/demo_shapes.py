"""The painted toys of the demo, written to a folder."""

from __future__ import annotations

import argparse

from mmwsfs.datasets.demo_shapes import make_demo_shapes


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Make the dataset and print what each fold got."""
    make_demo_shapes(args.out, seed=args.seed)
    for path in sorted((args.out / 'splits' / 'demo').glob('*/fold*.txt')):
        lines = path.read_text().split()
        images = {line.split('__')[0] for line in lines}
        print(f'{path.parent.name} {path.stem}: {len(images)} images, '
              f'{len(lines)} (image, class) pairs')
