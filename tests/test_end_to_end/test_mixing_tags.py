"""Weakly supervised semantic segmentation: an ordinary segmentor learns from tags."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mixed_configs import last_metrics, tiny_lists, tiny_mixed
from tool_runs import MMSEG_TOOLS


@pytest.fixture
def tagged(tiny_voc: Path, tmp_path: Path, monkeypatch, one_thread) -> Path:
    """A tiny config, the masks of whose training images do not exist.

    Of the training images two are of one tag, and one of both; one has none alone.
    """
    root = tmp_path / 'data'
    voc = root / 'VOCdevkit/VOC2012'
    source = tiny_voc / 'VOCdevkit/VOC2012'
    (voc / 'SegmentationClassAug').mkdir(parents=True)
    (voc / 'JPEGImages').symlink_to(source / 'JPEGImages')
    for mask in (source / 'SegmentationClassAug').glob('val_*'):
        (voc / 'SegmentationClassAug' / mask.name).symlink_to(mask)
    tiny_lists(tmp_path)
    images = {'trn_19_1': 'train', 'trn_20_1': 'tvmonitor',
              'trn_20_0': 'tvmonitor;train', 'trn_19_0': 'train;sheep'}
    (tmp_path / 'train.txt').write_text('\n'.join(images) + '\n')
    (tmp_path / 'tags.csv').write_text('image,labels\n' + ''.join(
        f'{name}.jpg,{tags}\n' for name, tags in images.items()))
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(root))
    monkeypatch.setenv('MMWSFS_LISTS', str(tmp_path))
    monkeypatch.setenv('MMWSFS_TAGS', str(tmp_path / 'tags.csv'))
    return tiny_mixed('dinov2-vit-s_fcn_voc12_tags', tmp_path)


def test_training_needs_no_masks_and_validation_has_them(tagged, run_tool, tmp_path):
    """By mmseg's tool. The training images' mask files do not even exist; of a class
    without an image of its own the log warns."""
    run_tool(MMSEG_TOOLS / 'train.py', tagged, '--work-dir', tmp_path / 'run')
    assert 0 <= last_metrics(tmp_path / 'run')['mIoU'] <= 100
    [log] = (tmp_path / 'run').glob('20*/*.log')
    text = log.read_text()
    assert "no image is tagged 'sheep' alone: images of 2 tags" in text
    shares = [float(share) for share in re.findall(r'label_foreground: ([\d.]+)', text)]
    assert len(shares) == 2 and all(0 < share < 1 for share in shares)
