"""docs/troubleshooting.md quotes what is really said: its errors are caused here."""
from __future__ import annotations

import json
import os
import pickle
import re
import runpy
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmseg.registry import MODELS as MMSEG_MODELS
from PIL import Image
from torch.distributed import TCPStore

from mmwsfs.apis import FewShotInferencer, init_model
from mmwsfs.datasets import FewShotFolderDataset, Pascal5iDataset
from mmwsfs.registry import MODELS
from mmwsfs.structures import FewShotDataSample

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / 'docs/troubleshooting.md').read_text(encoding='utf-8')
# A section's number, name and quoted message; '...' stands for what varies.
SECTIONS = {
    title: quote for title, quote in re.findall(
        r'^## \d+\. (.+?)\n\n```text\n(.+?)\n```$', PAGE, re.M | re.S)}
CAUSES: dict[str, Callable[..., None]] = {}


def causes(title: str) -> Callable[[Callable], Callable]:
    """The decorated function ends in the error of the section of this title."""
    def note(function: Callable) -> Callable:
        CAUSES[title] = function
        return function
    return note


class Bench:
    """What the causes break: a tiny data set of photographs, a config, a checkpoint."""

    def __init__(self, root: Path, voc: Path, config: Config,
                 monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.voc = voc
        self.config = config
        self.monkeypatch = monkeypatch

    def photographs(self, **settings) -> FewShotFolderDataset:
        """A folder of three classes with two photographs each and masks."""
        rng = np.random.default_rng(0)
        for number in range(6):
            name = f"{('lamp', 'mug', 'stapler')[number // 2]}/{number % 2}"
            for folder in ('images', 'masks'):
                (self.root / folder / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(
                self.root / f'images/{name}.jpg')
            mask = np.zeros((32, 32), np.uint8)
            mask[8:24, 8:24] = 255
            Image.fromarray(mask).save(self.root / f'masks/{name}.png')
        return self.dataset(**settings)

    def dataset(self, **settings) -> FewShotFolderDataset:
        """The data set of the folder as it is now."""
        return FewShotFolderDataset(**{**dict(
            data_root=str(self.root), novel=['lamp'], split='val', masks='none',
            img_size=32), **settings})

    def pascal(self, **settings) -> Pascal5iDataset:
        """The tiny Pascal-5i."""
        return Pascal5iDataset(**{**dict(
            data_root=str(self.voc), lists='splits/tiny', fold=0, split='val',
            img_size=32), **settings})

    def tool(self, name: str, *arguments: object) -> None:
        """Run a tool in this process."""
        self.monkeypatch.setenv('LOCAL_RANK', '0')
        self.monkeypatch.chdir(REPOSITORY)
        self.monkeypatch.setattr(sys, 'argv', [name, *map(str, arguments)])
        self.monkeypatch.syspath_prepend(str((REPOSITORY / name).parent))
        runpy.run_path(str(REPOSITORY / name), run_name='__main__')

    def model(self, **settings) -> torch.nn.Module:
        """The tiny model with other settings."""
        return MODELS.build({**self.config.model, **settings})


@pytest.fixture
def bench(tmp_path: Path, tiny_voc: Path, tiny_config: Config,
          monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    before = dict(os.environ)
    yield Bench(tmp_path, tiny_voc, tiny_config, monkeypatch)
    os.environ.clear()
    os.environ.update(before)


# ------------------------------------------------------------- data
@causes('The lists are not where the config looks')
def _(bench: Bench) -> None:
    bench.pascal(lists='splits/pascal5i').full_init()


@causes('Images are missing')
def _(bench: Bench) -> None:
    copy = bench.root / 'voc'
    shutil.copytree(bench.voc, copy)
    images = copy / 'VOCdevkit/VOC2012/JPEGImages'
    next(images.glob('val_01_*')).unlink()
    bench.pascal(data_root=str(copy)).full_init()


@causes('Too few images of a class')
def _(bench: Bench) -> None:
    bench.photographs(shot=5).full_init()


@causes('More ways than novel classes')
def _(bench: Bench) -> None:
    bench.photographs(way=2).full_init()


@causes('There is no such fold')
def _(bench: Bench) -> None:
    bench.pascal(fold=4).full_init()


@causes('A novel class is spelled otherwise')
def _(bench: Bench) -> None:
    bench.photographs(novel=['Lamp']).full_init()


@causes('A class folder is empty')
def _(bench: Bench) -> None:
    bench.photographs()
    (bench.root / 'images/spoon').mkdir()
    (bench.root / 'images/spoon/1.HEIC').write_bytes(b'')
    bench.dataset().full_init()


@causes('One training class is not enough')
def _(bench: Bench) -> None:
    bench.photographs(novel=['lamp', 'mug'], split='trn').full_init()


@causes('An image is damaged')
def _(bench: Bench) -> None:
    bench.photographs()
    path = bench.root / 'images/lamp/0.jpg'
    path.write_bytes(path.read_bytes()[:200])
    dataset = bench.dataset()
    dataset[0]


@causes('A mask does not show what the tag says')
def _(bench: Bench) -> None:
    bench.photographs()
    (bench.root / 'tags.csv').write_text(
        'image,labels\nlamp/0.jpg,lamp\nlamp/1.jpg,lamp\nmug/0.jpg,mug\n'
        'mug/1.jpg,mug\nstapler/0.jpg,stapler\nstapler/1.jpg,stapler\n')
    dataset = bench.dataset(tags='tags.csv', masks='all', support_masks=True)
    dataset[0]


@causes('A mask with soft edges')
def _(bench: Bench) -> None:
    bench.photographs()
    for path in (bench.root / 'masks/lamp').iterdir():
        soft = np.tile(np.arange(0, 256, 8, dtype=np.uint8), (32, 1))
        Image.fromarray(soft).save(path)
    bench.dataset(masks='all', support_masks=True)[0]


@causes('An episode file of other ways and shots')
def _(bench: Bench) -> None:
    bench.photographs()
    (bench.root / 'episodes.json').write_text(json.dumps(dict(episodes=[dict(
        query='lamp/0.jpg', classes=['lamp'], supports=[['lamp/1.jpg']])])))
    bench.dataset(shot=2, episodes='episodes.json', novel=['lamp']).full_init()


# ------------------------------------------------------------- configs and models
@causes('A type is in no registry')
def _(bench: Bench) -> None:
    with DefaultScope.overwrite_default_scope('mmseg'):
        MMSEG_MODELS.build(dict(type='AttentionLabeler'))


@causes('Arguments of another part are left over')
def _(bench: Bench) -> None:
    labeler = {**bench.config.model.labeler, 'type': 'EnhancedLabeler'}
    bench.model(labeler=labeler)


@causes('No supervision')
def _(bench: Bench) -> None:
    bench.model(supervision=None)


@causes('A config of an older release')
def _(bench: Bench) -> None:
    bench.pascal(with_masks=False)


@causes('Masks are asked for, and the data carry none')
def _(bench: Bench) -> None:
    model = bench.model(supervision='pixel')
    images = torch.zeros(2, 3, 32, 32)
    model.support_masks(model.extract_feat(images), (32, 32))


@causes('A hook shows pseudo-masks of a model that makes none')
def _(bench: Bench) -> None:
    bench.config.model.supervision = 'pixel'
    Runner.from_cfg(bench.config).train()


@causes('The image size is no multiple of the patch')
def _(bench: Bench) -> None:
    bench.model().extract_feat(torch.zeros(1, 3, 30, 30))


@causes('Training with more than one way or shot')
def _(bench: Bench) -> None:
    model = bench.model()
    model.loss(dict(query=torch.zeros(1, 3, 32, 32),
                    support=torch.zeros(1, 2, 1, 3, 32, 32)), [FewShotDataSample()])


@causes('The backbone file is not there')
def _(bench: Bench) -> None:
    backbone = {**bench.config.model.backbone, 'init_cfg': dict(
        type='Pretrained', checkpoint='checkpoints/dino.pth')}
    bench.model(backbone=backbone).init_weights()


@causes('The backbone file is of another network')
def _(bench: Bench) -> None:
    torch.save(bench.model().backbone.state_dict(), bench.root / 'dino.pth')
    backbone = {**bench.config.model.backbone, 'patch_size': 16, 'init_cfg': dict(
        type='Pretrained', checkpoint=str(bench.root / 'dino.pth'))}
    bench.model(backbone=backbone).init_weights()


# ------------------------------------------------------------- checkpoints
@causes('The checkpoint is of another model')
def _(bench: Bench) -> None:
    torch.save(dict(state_dict=bench.model().state_dict()), bench.root / 'iter_2.pth')
    bench.config.model.neck.channels = (16, 32)
    init_model(bench.config, bench.root / 'iter_2.pth', 'cpu')


@causes('The checkpoint holds more than weights')
def _(bench: Bench) -> None:
    torch.save(dict(state_dict={}, trainer=pickle.Pickler), bench.root / 'foreign.ckpt')
    bench.config.dump(bench.root / 'config.py')
    bench.tool('tools/test.py', bench.root / 'config.py', bench.root / 'foreign.ckpt')


# ------------------------------------------------------------- predicting
@causes('A model that was trained with masks needs them')
def _(bench: Bench) -> None:
    bench.config.model.supervision = 'pixel'
    inferencer = FewShotInferencer(bench.config, device='cpu')
    inferencer.set_supports({'lamp': np.zeros((32, 32, 3), np.uint8)})


# ------------------------------------------------------------- several processes
@causes('Another training uses the port')
def _(bench: Bench) -> None:
    with socket.socket() as other:
        other.bind(('0.0.0.0', 0))
        other.listen()
        TCPStore('127.0.0.1', other.getsockname()[1], is_master=True)  # as torchrun


# ------------------------------------------------------------- the page
@pytest.mark.parametrize('title', CAUSES)
def test_quote_is_what_is_said(title: str, bench: Bench) -> None:
    """A reader finds the message of the terminal on the page, word by word."""
    with pytest.raises((Exception, SystemExit)) as caught:
        CAUSES[title](bench)
    said = ' '.join(str(caught.value).split())
    quoted = ' '.join(SECTIONS[title].split())
    pattern = '.*'.join(re.escape(part) for part in quoted.split('...'))
    assert re.fullmatch(pattern, said), said


def test_every_section_is_caused_here() -> None:
    """No section without a test, no cause without a section, twenty at least."""
    assert list(SECTIONS) == list(CAUSES)
    assert len(CAUSES) >= 20
    assert len(re.findall('^## ', PAGE, re.M)) == len(SECTIONS)
