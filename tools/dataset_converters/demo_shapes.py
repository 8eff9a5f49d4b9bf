"""Write the synthetic demo dataset of toy shapes."""
from __future__ import annotations

import argparse
from pathlib import Path

from mmwsfs.datasets.demo_shapes import make_demo_shapes


def main() -> None:
    """Make the dataset and print what each fold got."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('out', type=Path, help='folder to make; must not exist')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    make_demo_shapes(args.out, seed=args.seed)
    for path in sorted((args.out / 'splits' / 'demo').glob('*/fold*.txt')):
        lines = path.read_text().split()
        images = {line.split('__')[0] for line in lines}
        print(f'{path.parent.name} {path.stem}: {len(images)} images, '
              f'{len(lines)} (image, class) pairs')


if __name__ == '__main__':
    main()
