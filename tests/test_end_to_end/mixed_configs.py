"""The configs of configs/mixed, made tiny: random weights, 56x56 pixels, two steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmengine.config import Config
from tool_runs import REPOSITORY

MIXED = REPOSITORY / 'configs/mixed'
# Of the configs on the left, those of our tests on the right.
WIDTHS = {384: 16, 256: 16, 128: 16}
ARCH = dict(embed_dims=16, num_layers=12, num_heads=2, feedforward_channels=32)


def change(node: Any, function: Callable[[Any], Any]) -> Any:
    """A config's content with its leaves and its Resize transforms changed."""
    if isinstance(node, dict):
        node = {key: change(value, function) for key, value in node.items()}
        if node.get('type') == 'Resize':
            node['scale'] = (56, 56)
        return node
    if isinstance(node, (list, tuple)):
        return type(node)(change(part, function) for part in node)
    return function(node)


def tiny_lists(folder: Path) -> None:
    """``train.txt`` and ``val.txt``: four images each of the last two folds."""
    for split, name in (('trn', 'train'), ('val', 'val')):
        names = [f'{split}_{number:02d}_{index}' for number in (19, 20)
                 for index in (1, 2)]
        (folder / f'{name}.txt').write_text('\n'.join(names) + '\n')


def last_metrics(work_dir: Path) -> dict:
    """Those of the last validation of a work dir's only run."""
    [scalars] = work_dir.glob('20*/vis_data/scalars.json')
    return json.loads(scalars.read_text().splitlines()[-1])


def tiny_mixed(name: str, folder: Path) -> Path:
    """A tiny child, with everything in one file, of a config of configs/mixed."""
    cfg = Config.fromfile(MIXED / f'{name}.py')
    model = change(cfg.model.to_dict(), lambda leaf: (
        WIDTHS.get(leaf, leaf) if isinstance(leaf, int) else leaf))
    model['backbone'].update(arch=ARCH, img_size=56, init_cfg=None)
    content = change(cfg.to_dict(), lambda leaf: leaf)
    content['model'] = model
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        content[loader].update(
            batch_size=2, num_workers=0, persistent_workers=False)
    content['train_cfg'].update(max_iters=2, val_interval=2)
    content['default_hooks']['logger']['interval'] = 1
    content['default_hooks']['checkpoint']['interval'] = 1
    content['randomness'] = dict(seed=0)
    path = folder / f'{name}.py'
    Config(content).dump(path)
    return path
