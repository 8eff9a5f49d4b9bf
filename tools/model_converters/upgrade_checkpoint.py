"""Bring a checkpoint of an older release up to date.

    upgrade_checkpoint.py OLD.pth NEW.pth

Before supervision was the model's own setting, the metric and the prototype maps
lay within the neck, and the prior kept moments of its own. Weights and predictions are
the same; the new file holds the weights alone: it is no checkpoint to resume from.
What needs no change is copied.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from mmwsfs.utils.checkpoint_file import check_target, write_checkpoint
from mmwsfs.utils.state_dict import read_state_dict

# Old beginning of a name -> the new one.
RENAMES = {
    'neck.metric.': 'metric.',
    'neck.prototypes.': 'prototypes.',
    'prior.mean': 'prior.moments.mean',
    'prior.var': 'prior.moments.var',
}
PRIOR_EPSILON = 1e-6  # the old prior divided by the root of its variance plus this


def upgrade(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names of this release, and a prior that gives the same logits."""
    new = {}
    for name, value in weights.items():
        for old, replacement in RENAMES.items():
            if name.startswith(old):
                name = replacement + name[len(old):]
        new[name] = value
    if 'prior.centre' in new:
        num_pairs = new.pop('prior.num_pairs')
        centre = new.pop('prior.centre').flatten()
        new.update({
            'prior.moments.num_pairs': num_pairs,
            'prior.centre.num_pairs': num_pairs.clone(),
            'prior.centre.mean': centre,
            'prior.centre.var': torch.ones_like(centre)})
        var = new['prior.moments.var']
        deviation = var.sqrt().clamp_min(1e-4)
        new['prior.weight'] = (
            new['prior.weight'] * deviation / (var + PRIOR_EPSILON).sqrt())
    return new


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('old', type=Path, help='checkpoint of an older release')
    parser.add_argument('new', type=Path, help='file to write')
    args = parser.parse_args(argv)
    try:
        check_target(args.new, args.old)
        weights = upgrade(read_state_dict(args.old))
        write_checkpoint(dict(state_dict=weights), args.new)
    except (OSError, ValueError) as error:
        parser.exit(1, f'upgrade_checkpoint.py: {error}\n')
    print(f'{len(weights)} tensors written to {args.new}')


if __name__ == '__main__':
    main()
