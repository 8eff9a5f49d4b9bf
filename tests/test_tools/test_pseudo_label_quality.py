"""pseudo_label_quality.py on made images: every labeler, both splits."""

from __future__ import annotations

import json

import pytest

CONFIG = 'configs/wsfs/dinov2-vit-s_pascal5i_1shot_quick{}.py'
TINY = (
    'model.backbone._delete_=True', 'model.backbone.type=DINOVisionTransformer',
    'model.backbone.patch_size=14', 'model.backbone.img_size=56',
    'model.backbone.arch.embed_dims=24', 'model.backbone.arch.num_layers=2',
    'model.backbone.arch.num_heads=3', 'model.backbone.arch.feedforward_channels=48')


@pytest.fixture(autouse=True)
def data(run_tool, tiny_voc, monkeypatch):
    """After ``run_tool``, which clears the choice of lists."""
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(tiny_voc))
    monkeypatch.setenv('MMWSFS_SPLITS', 'tiny')


@pytest.fixture
def quality(run_tool, capsys):
    """The numbers that the tool prints for a config."""
    def run(kind, *arguments):
        run_tool('tools/analysis_tools/pseudo_label_quality.py', CONFIG.format(kind),
                 *arguments)
        return json.loads(capsys.readouterr().out.splitlines()[-1])
    return run


def test_labelers_and_splits(quality):
    """Affinity changes the labels; trn are the other folds' images."""
    plain = quality('', '--fold', '1', '--cfg-options', *TINY)
    assert plain['images'] == 15 and 0 < plain['support'] < 100
    spread = quality(
        '', '--fold', '1', '--cfg-options', *TINY, 'model.labeler.affinity=20.')
    assert 0 < spread['support'] < 100 and spread['support'] != plain['support']
    base = quality('', '--fold', '1', '--split', 'trn', '--cfg-options', *TINY)
    assert base['images'] == 45


def test_values_of_a_setting_side_by_side(quality, run_tool, capsys):
    """A line each, on one backbone; what is equal gains nothing."""
    options = ('--cfg-options', *TINY)
    run_tool('tools/analysis_tools/pseudo_label_quality.py', CONFIG.format(''),
             '--fold', '1', '--vary', 'adaptive', '0.5', '0.5', '1', *options)
    first, same, other = (
        json.loads(line) for line in capsys.readouterr().out.splitlines()[-3:])
    assert [row['adaptive'] for row in (first, same, other)] == [0.5, 0.5, 1]
    assert same['gain'] == 0 and same['gain_interval'] == [0, 0]
    assert other['gain'] == pytest.approx(
        other['support_class_mean'] - first['support_class_mean'])
    low, high = other['gain_interval']
    assert low < other['gain'] < high
    with pytest.raises(SystemExit):
        quality('', '--vary', 'adaptive', *options)


def test_a_labeler_that_learns_first(quality):
    """Its masks are no longer those of the maps; the support does not change them."""
    arguments = ('--fold', '1', '--cfg-options', *TINY)
    bare = quality('_plus', *arguments)
    found = quality('_plus', '--fit', *arguments)
    assert found['support'] != bare['support']
    assert 0 < found['support_class_mean'] < 100
    assert found['support_class_mean'] != bare['support_class_mean']


MIXED = (
    *TINY, 'model.labeler.probe.layers=[0,1]',
    'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False',
    'train_dataloader.dataset.masks=0.5')


def test_training_labels(quality, run_tool, tmp_path):
    """Of the images without masks, with and without what the probe knows."""
    run_tool('tools/train.py', CONFIG.format('_mixed10'), '--fold', '1',
             '--work-dir', tmp_path, '--cfg-options', *MIXED, 'train_cfg.max_iters=1',
             'default_hooks.checkpoint.interval=1', 'val_dataloader=None',
             'val_cfg=None', 'val_evaluator=None')
    masked = (tmp_path / 'masked_images.txt').read_text().split()
    arguments = ('--fold', '1', '--checkpoint', tmp_path / 'iter_1.pth')
    found = quality('_mixed10', *arguments, '--cfg-options', *MIXED)
    assert found['images'] == 45 - len(masked) and found['split'] == 'trn'
    keys = [name + mean for name in ('labels', 'with_classes')
            for mean in ('', '_class_mean')]
    assert found.keys() == {'config', 'fold', 'split', 'images', *keys}
    assert all(0 < found[key] <= 100 for key in keys)
    assert found['with_classes'] != found['labels']
    with pytest.raises(ValueError, match='iter_1.pth'):
        quality('', *arguments, '--cfg-options', *TINY)


def test_an_enhancer(quality, run_tool, tmp_path):
    """The network that train_enhancer.py wrote labels the images."""
    run_tool('tools/train_enhancer.py', CONFIG.format('_mixed10'), '--fold', '1',
             '--work-dir', tmp_path, '--cfg-options', *MIXED)
    found = quality(
        '_mixed10', '--fold', '1', '--enhancer', tmp_path / 'enhancer/best.pth',
        '--cfg-options', *MIXED)
    assert 0 < found['query'] < 100
