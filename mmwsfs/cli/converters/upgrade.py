"""Bring a checkpoint of an older release up to date.

Before supervision was the model's own setting, the metric and the prototype maps
lay within the neck. Their weights and predictions are the same. The prior of before,
of pairs of images, has gone and is left out.
"""

from __future__ import annotations

import argparse

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


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Upgrade as ``mmwsfs convert upgrade`` was told."""
    check_target(args.new, args.old)
    old = read_state_dict(args.old)
    weights = upgrade(old)
    write_checkpoint(dict(state_dict=weights), args.new)
    print(f'{len(weights)} tensors written to {args.new}')
    if PAIR_PRIOR in old:
        print(
            'the prior of pairs, which this release lacks, is left out: give '
            '--cfg-options model.prior=None to what reads the new file; presence is '
            "the head's alone, and worse")
