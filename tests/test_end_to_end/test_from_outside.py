"""A labeler, a backbone and a dataset from outside the package, by config alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from tool_runs import REPOSITORY, read_report

from mmwsfs.apis import init_model

MODULE = '''
import torch
from mmengine.model import BaseModule
from mmseg.registry import DATASETS, MODELS
from mmwsfs.datasets.few_shot_dataset import FewShotDataset
from mmwsfs.structures import ViTFeatures


@MODELS.register_module()
class BrightSquares(BaseModule):
    """A backbone: 8x8 patches, two blocks that see colours alone."""

    num_layers, num_heads, embed_dims, frozen = 2, 2, 6, True

    def extract(self, images):
        patches = torch.nn.functional.avg_pool2d(images, 8)
        grid = tuple(patches.shape[-2:])
        patches = patches.flatten(2).transpose(1, 2).repeat(1, 1, 2)
        tokens = torch.cat([patches.mean(dim=1, keepdim=True), patches], dim=1)
        heads = patches.unflatten(2, (2, 3)).transpose(1, 2)
        return ViTFeatures(
            torch.stack([tokens, tokens.sin()], dim=1), heads.mean(dim=2), heads, grid)


@MODELS.register_module()
class UpperHalf(BaseModule):
    """A labeler: whatever it is, it is in the upper half."""

    def forward(self, support, image, size, classes=None):
        mask = torch.zeros(len(image), *size, dtype=torch.bool)
        mask[:, :size[0] // 2] = True
        return mask


@DATASETS.register_module()
class Colours(FewShotDataset):
    """Images named CLASS_N.png; the last two classes are novel."""

    METAINFO = dict(classes=('red', 'green', 'blue', 'grey'))

    def source(self):
        return self.data_root

    def split_classes(self):
        return [3, 4] if self.split == 'val' else [1, 2]

    def load_entries(self):
        return [(f'{self.metainfo["classes"][n - 1]}_{i}', n)
                for n in self.class_ids for i in range(4)]

    def missing_files(self, names):
        return {}

    def image_info(self, name):
        return dict(img_path=f'{self.data_root}/{name}.png')
'''
CONFIG = """
_base_ = '{repository}/configs/wsfs/vit-s_pascal5i_1shot.py'
custom_imports = dict(imports=['mmwsfs', 'things_from_outside'])
model = dict(
    backbone=dict(_delete_=True, type='BrightSquares'),
    labeler=dict(_delete_=True, type='UpperHalf'))
data = dict(
    _delete_=True, type='Colours', data_root='{root}', masks='none', img_size=32)
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False,
    dataset=dict(data, split='trn'))
test_dataloader = dict(
    num_workers=0, persistent_workers=False,
    dataset=dict(data, split='val', num_episodes=4))
val_dataloader = val_cfg = val_evaluator = None
train_cfg = dict(max_iters=2)
default_hooks = dict(
    logger=dict(interval=1), checkpoint=dict(interval=2, save_best=None))
"""


def test_three_things_from_outside(run_tool, tmp_path: Path, monkeypatch) -> None:
    """Each takes one place; sizes, loops, hooks, metric and report follow."""
    (tmp_path / 'things_from_outside.py').write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    images = tmp_path / 'images'
    images.mkdir()
    rng = np.random.default_rng(0)
    for name, colour in dict(red=(200, 0, 0), green=(0, 200, 0), blue=(0, 0, 200),
                             grey=(99, 99, 99)).items():
        for number in range(4):
            pixels = rng.integers(0, 56, (40, 40, 3)) + np.array(colour)
            Image.fromarray(pixels.astype(np.uint8)).save(
                images / f'{name}_{number}.png')
    config = tmp_path / 'outside.py'
    config.write_text(CONFIG.format(repository=REPOSITORY, root=images))
    work_dir = tmp_path / 'work'
    run_tool('tools/train.py', config, '--work-dir', work_dir)
    checkpoint = work_dir / 'iter_2.pth'
    run_tool('tools/test.py', config, checkpoint, '--work-dir', work_dir)
    report = read_report(work_dir)
    assert report['dataset']['type'] == 'Colours'
    assert report['supervision'] == 'image'
    assert report['dataset']['classes'] == {'3': 'blue', '4': 'grey'}
    assert 0 <= report['metrics']['exact_ratio'] <= 100
    rows = [json.loads(line)
            for scalars in work_dir.glob('20*/vis_data/scalars.json')
            for line in scalars.read_text().splitlines()]
    coverage = [row['pseudo_support_coverage'] for row in rows if 'loss' in row]
    assert coverage == [0.5, 0.5]
    model = init_model(config, checkpoint)
    assert type(model.backbone) is sys.modules['things_from_outside'].BrightSquares
    assert model.neck.blocks[0].qkv.in_channels == 2 * 2  # blocks times heads
