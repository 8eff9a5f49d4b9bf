"""Bring a checkpoint of an older release up to date.

    upgrade_checkpoint.py OLD.pth NEW.pth

Before supervision was the model's own setting, the metric and the prototype maps
lay within the neck. Their weights and predictions are the same. The prior of before,
of pairs of images, has gone and is left out. The new file holds the weights alone: it
is no checkpoint to resume from. What needs no change is copied.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from mmwsfs.utils.checkpoint_file import check_target, write_checkpoint
from mmwsfs.utils.state_dict import read_state_dict

# Old beginning of a name -> the new one.
RENAMES = {
    'neck.metric.': 'metric.',
    'neck.prototypes.': 'prototypes.',
}
PAIR_PRIOR = 'prior.weight'  # a checkpoint that has it has a prior of pairs


def upgrade(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights by the names of this release, without a prior of pairs."""
    new = {}
    for name, value in weights.items():
        if PAIR_PRIOR in weights and name.startswith('prior.'):
            continue
        for old, replacement in RENAMES.items():
            if name.startswith(old):
                name = replacement + name[len(old):]
        new[name] = value
    return new


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('old', type=Path, help='checkpoint of an older release')
    parser.add_argument('new', type=Path, help='file to write')
    args = parser.parse_args(argv)
    try:
        check_target(args.new, args.old)
        old = read_state_dict(args.old)
        weights = upgrade(old)
        write_checkpoint(dict(state_dict=weights), args.new)
    except (OSError, ValueError) as error:
        parser.exit(1, f'upgrade_checkpoint.py: {error}\n')
    print(f'{len(weights)} tensors written to {args.new}')
    if PAIR_PRIOR in old:
        print(
            'the prior of pairs, which this release lacks, is left out: give '
            '--cfg-options model.prior=None to what reads the new file; presence is '
            "the head's alone, and worse")


if __name__ == '__main__':
    main()
