"""What a training leaves that must not depend on whether it was interrupted."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from mmwsfs.utils.checkpoint_file import read_checkpoint

CONFIG = """
_base_ = '{repository}/configs/wsfs/vit-s_demo_1shot_mixed10.py'
model = dict(
    backbone=dict(
        _delete_=True, type='DINOVisionTransformer', patch_size=14, img_size=56,
        arch=dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)),
    labeler=dict(steps={fitting}, probe=dict(layers=(0, 1))))
train_dataloader = dict(batch_size=4, **{workers})
test_dataloader = dict(batch_size=3, dataset=dict(num_episodes=10))
val_dataloader = dict(batch_size=3, dataset=dict(num_episodes=9))
max_iters = {iters}
optim_wrapper = dict(optimizer=dict(lr=3e-2))
train_cfg = dict(max_iters=max_iters, val_interval={val_interval})
default_hooks = dict(
    logger=dict(interval=1),
    checkpoint=dict(
        interval={interval}, max_keep_ckpts=2, save_best='FB-IoU', rule='greater'))
custom_hooks = [dict(type='PseudoLabelEnhancerHook')]
"""
_UNLIKE = ('time', 'data_time', 'memory')  # of the log: never twice the same


def tiny_config(path: Path, repository: Path, iters: int, interval: int,
                val_interval: int, fitting: int, workers: int = 0) -> Path:
    """Write the config of a small training with a fitting stage and validation."""
    path.write_text(CONFIG.format(
        repository=repository, iters=iters, interval=interval, fitting=fitting,
        val_interval=val_interval,
        workers=dict(num_workers=workers, persistent_workers=bool(workers))))
    return path


def logged(work_dir: Path) -> dict[tuple[int, tuple[str, ...]], dict[str, float]]:
    """What all runs in a work dir logged, by step and the names of the values.

    A run that goes on from a checkpoint logs the steps after it again: with the same
    values, or this fails. The last line of a killed one may be cut.
    """
    lines: dict[tuple[int, tuple[str, ...]], dict[str, float]] = {}
    for path in sorted(work_dir.glob('20*/vis_data/scalars.json')):
        text = path.read_text().splitlines()
        for number, line in enumerate(text):
            try:
                values = json.loads(line)
            except ValueError:
                assert number == len(text) - 1, line
                continue
            values = {key: value for key, value in values.items() if key not in _UNLIKE}
            key = values['step'], tuple(sorted(values))
            assert lines.setdefault(key, values) == values, (path, line, lines[key])
    return lines


def assert_same_training(one: Path, other: Path) -> None:
    """The logs, checkpoints and best scores of two work dirs are equal, bit by bit."""
    assert logged(one) == logged(other)
    names = {path.name for path in one.glob('**/*.pth')}
    assert names == {path.name for path in other.glob('**/*.pth')}
    assert not list(other.glob('**/*.part'))
    pointers = [(folder / 'last_checkpoint').read_text() for folder in (one, other)]
    assert pointers[0] == pointers[1] and pointers[0] in names
    for path in one.glob('*.pth'):
        first, second = _content(path), _content(other / path.name)
        assert first.keys() == second.keys()
        for key, value in first.items():
            _assert_equal(value, second[key], f'{path.name}: {key}')


def _content(path: Path) -> dict:
    """Of a checkpoint what has to be equal: all but names of folders and times."""
    content = read_checkpoint(path, inert=('mmengine', 'numpy', 'builtins'))
    hub = content['message_hub']['runtime_info']
    return dict(
        state_dict=dict(content['state_dict']),
        optimizer=content.get('optimizer'), schedulers=content.get('param_schedulers'),
        iteration=content['meta']['iter'], validated=hub.get('last_validation'),
        best_score=hub.get('best_score'),
        best=Path(hub.get('best_ckpt', '')).name)


def _assert_equal(one: object, other: object, what: str) -> None:
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), what
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), what
        for key in one:
            _assert_equal(one[key], other[key], f'{what}.{key}')
    elif isinstance(one, list):
        assert len(one) == len(other), what
        for index, pair in enumerate(zip(one, other)):
            _assert_equal(*pair, f'{what}[{index}]')
    else:
        assert one == other, f'{what}: {one!r} is not {other!r}'
