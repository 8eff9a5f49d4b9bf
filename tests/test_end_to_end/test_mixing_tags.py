"""Weakly supervised semantic segmentation: an ordinary segmentor learns from tags."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from mixed_configs import last_metrics, tiny_lists, tiny_mixed
from mmengine.config import Config
from mmengine.runner import Runner
from tool_runs import MMSEG_TOOLS

from mmwsfs.datasets import Pascal5iDataset
from mmwsfs.utils.state_dict import read_state_dict

NAMES = Pascal5iDataset.METAINFO['classes']


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


def runner(config: Path, work_dir: Path, **settings) -> Runner:
    cfg = Config.fromfile(config)
    cfg.work_dir = str(work_dir)
    cfg.merge_from_dict(settings)
    return Runner.from_cfg(cfg)


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


def test_the_batch_gets_the_labels_of_its_images(tagged, tmp_path, monkeypatch):
    """Each image's labels are background, void and its own tags, of its own size."""
    run = runner(tagged, tmp_path / 'run', train_cfg=dict(max_iters=1))
    seen = []
    model = run.model
    loss = model.loss
    monkeypatch.setattr(model, 'loss', lambda inputs, samples: (
        seen.extend(samples), loss(inputs, samples))[1])
    run.train()
    assert len(seen) == 2
    for sample in seen:
        own = {NAMES.index(tag) + 1 for tag in sample.tags}
        labels = set(sample.gt_sem_seg.data.unique().tolist())
        assert sample.gt_sem_seg.data.shape == (1, 56, 56)
        assert labels <= own | {0, 255} and len(labels) > 1


def test_a_resumed_run_labels_alike(tagged, run_tool, tmp_path):
    """Supports are made anew, and are the same."""
    run_tool('tools/train.py', tagged, '--work-dir', tmp_path / 'whole')
    run_tool('tools/train.py', tagged, '--work-dir', tmp_path / 'parts',
             '--cfg-options', 'train_cfg.max_iters=1', 'train_cfg.val_interval=1')
    run_tool('tools/train.py', tagged, '--work-dir', tmp_path / 'parts', '--resume')
    whole, parts = (read_state_dict(tmp_path / name / 'iter_2.pth')
                    for name in ('whole', 'parts'))
    assert all(torch.equal(parts[key], value) for key, value in whole.items()
               if key.startswith('backbone'))


@pytest.mark.parametrize('change, message', [
    (dict(model=dict(backbone=dict(frozen=False))), 'DINOVisionTransformer.*is not'),
    ({'train_dataloader.dataset.pipeline.1.img_dir': '/elsewhere'},
     "no tags for '.*from the folder '/elsewhere'"),
    ({'train_dataloader.dataset.pipeline.4.meta_keys': ('img_path', )},
     "carries no tags: .*'tags' to meta_keys|'tags' to meta_keys|meta_keys of"),
    ({'train_dataloader.dataset.pipeline.1.type': 'LoadAnnotations',
      'train_dataloader.dataset.pipeline.1.tag_file': None}, 'needs tags: put LoadTags'),
], ids=['backbone', 'folder', 'meta_keys', 'no transform'])
def test_what_is_wrong_is_said(tagged, tmp_path, change, message):
    """One sentence, before the first step."""
    cfg = Config.fromfile(tagged)
    cfg.work_dir = str(tmp_path / 'run')
    cfg.merge_from_dict(change)
    first = cfg.train_dataloader.dataset.pipeline[1]
    if first.type == 'LoadAnnotations':
        cfg.train_dataloader.dataset.pipeline[1] = dict(type='RandomFlip', prob=0.)
    with pytest.raises(ValueError, match=message):
        Runner.from_cfg(cfg).train()


def test_a_tag_that_is_no_class(tagged, tmp_path):
    """Is named, with the classes there are."""
    tags = tmp_path / 'tags.csv'
    tags.write_text(tags.read_text().replace('sheep', 'sheeep'))
    with pytest.raises(ValueError, match=r"\['sheeep'\], which are no classes"):
        runner(tagged, tmp_path / 'run').train()
