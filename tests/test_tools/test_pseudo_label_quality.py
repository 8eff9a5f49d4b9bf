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
    """Affinity and refinement change the labels; trn are the other folds' images."""
    plain = quality('', '--fold', '1', '--cfg-options', *TINY)
    assert plain['images'] == 15 and 0 < plain['support'] < 100
    spread = quality(
        '', '--fold', '1', '--cfg-options', *TINY, 'model.labeler.affinity=20.')
    refined = quality(
        '', '--fold', '1', '--cfg-options', *TINY,
        'model.labeler.refine.type=PixelAdaptiveRefinement')
    assert len({run['support'] for run in (plain, spread, refined)}) == 3
    base = quality('', '--fold', '1', '--split', 'trn', '--cfg-options', *TINY)
    assert base['images'] == 45


MIXED = (
    *TINY, 'model.neck.num_layers=2', 'model.neck.num_heads=3',
    'model.labeler.enhancer.num_heads=3',
    'model.labeler.probe.layers=[0,1]', 'model.labeler.probe.embed_dims=24',
    'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False',
    'train_dataloader.dataset.mask_ratio=0.5')


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
    assert 0 < found['with_classes'] <= 100 and 0 < found['enhancer'] <= 100
    assert found['with_classes'] != found['enhancer']
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
