"""Make a checkpoint of a training run ready to be published.

    publish_model.py SRC DST
        writes DST-1a2b3c4d.pth, named by the first 8 hex digits of its own sha256: the
        weights, the config, the dataset's classes and the versions. Optimizer,
        schedulers, message hub and all else that only training needs are left out.

SRC stays as it is, and nothing that it contains is run.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import mmwsfs
from mmwsfs.utils.checkpoint_file import check_target, read_checkpoint, write_checkpoint
from mmwsfs.utils.state_dict import find_state_dict
from mmwsfs.utils.training_objects import TRAINING_OBJECTS

# What of ``meta`` says which model this is; the rest (seed, time, names of the run)
# says how one run went.
META = ('cfg', 'dataset_meta', 'epoch', 'iter', 'selection', 'source')


def published(checkpoint: object, path: Path) -> dict:
    """What is published of the checkpoint of the file ``path``.

    Weights averaged by an EMAHook need no care: MMEngine saves them as ``state_dict``.

    Returns:
        dict: ``state_dict`` as it is, and of ``meta`` the config, the dataset's
        classes, epoch and iteration, by what it was chosen, and the versions.

    Raises:
        ValueError: there is no state dict of tensors, or nothing in it.
    """
    holds = isinstance(checkpoint, Mapping) and checkpoint.get('state_dict')
    if not holds or find_state_dict(holds) is None:
        raise ValueError(
            f"checkpoint '{path}' holds no 'state_dict' of tensors: give one that "
            'tools/train.py wrote')
    meta = {key: value for key, value in checkpoint.get('meta', {}).items()
            if key in META or key.endswith('_version')}
    meta.setdefault('mmwsfs_version', mmwsfs.__version__)
    return dict(meta=meta, state_dict=checkpoint['state_dict'])


def publish(src: Path, dst: Path) -> None:
    """Write the published form of ``src``, and print what it keeps."""
    check_target(dst, src)
    checkpoint = read_checkpoint(src, known=TRAINING_OBJECTS)
    kept = published(checkpoint, src)
    path = write_checkpoint(kept, dst, with_hash=True)
    left = [key for key in checkpoint if key not in kept]
    left += [f'meta.{key}' for key in checkpoint.get('meta', {})
             if key not in kept['meta']]
    print(f"kept {len(kept['state_dict'])} tensors; of meta: {', '.join(kept['meta'])}")
    print(f"left out: {', '.join(left) or 'nothing'}")
    print(f"wrote '{path}'")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('src', type=Path, help='checkpoint of a training run')
    parser.add_argument(
        'dst', type=Path, help='file to write; its hash is put before .pth')
    args = parser.parse_args()
    try:
        publish(args.src, args.dst)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error


if __name__ == '__main__':
    main()
