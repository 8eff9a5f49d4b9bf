"""Every config file: it builds, its parts fit each other, and it says one thing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmwsfs.engine import FittingHook
from mmwsfs.fitting import fittable_parts
from mmwsfs.registry import DATASETS, HOOKS, MODELS

CONFIGS = Path(__file__).parents[1] / 'configs/wsfs'
# Those of the model in the package are tested in test_cst_photos.py.
FILES = sorted(set(CONFIGS.glob('*.py')) - set(CONFIGS.glob('cst-photos*.py')))
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def names(paths: list[Path]) -> list[str]:
    return [path.stem for path in paths]


@pytest.mark.parametrize('path', FILES, ids=names(FILES))
def test_it_builds(path: Path) -> None:
    """Model and datasets; data and supervision go together; nothing stays unfitted."""
    cfg = Config.fromfile(path)
    cfg.model.cache = None
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    datasets = {name: DATASETS.build(dict(cfg[name].dataset, lazy_init=True))
                for name in LOADERS if cfg.get(name)}
    for dataset in datasets.values():
        assert dataset.img_size % model.backbone.patch_size == 0
    assert len({dataset.img_size for dataset in datasets.values()}) == 1
    train, test = datasets['train_dataloader'], datasets['test_dataloader']
    masks = cfg.train_dataloader.dataset.masks
    assert model.supervision == dict(none='image', all='pixel').get(masks, 'mixed')
    assert train.support_masks and test.support_masks == (model.supervision == 'pixel')
    hooks = [HOOKS.get(hook.type).__name__ for hook in cfg.custom_hooks]
    assert hooks == dict(
        image=['PseudoLabelHook'], pixel=[],
        mixed=['PseudoLabelEnhancerHook'])[model.supervision]
    if fittable_parts(model):
        assert any(HOOKS.get(hook.type) is FittingHook
                   for hook in cfg.default_hooks.values())


@pytest.mark.parametrize('name', [
    'vit-s_pascal5i_1shot', 'vit-s_coco20i_1shot_pixel', 'vit-s_fss1000_1shot',
    'emat_dinov2-vit-s_pascal5i_1shot', 'dinov2-vit-s_pascal5i_1shot_quick_plus'])
def test_another_size_is_one_line(name: str, tmp_path: Path) -> None:
    """In training, validation and testing."""
    child = tmp_path / 'child.py'
    child.write_text(
        f"_base_ = '{CONFIGS / name}.py'\ntrain_dataloader = val_dataloader = "
        'test_dataloader = dict(dataset=dict(img_size=112))\n')
    cfg = Config.fromfile(child)
    for loader in LOADERS:
        dataset = DATASETS.build(dict(cfg[loader].dataset, lazy_init=True))
        resizes = [
            transform['scale'] for role in ('query', 'support')
            for transform in dataset.default_pipeline()[0][role]
            if transform['type'] == 'Resize']
        assert resizes == [(112, 112)] * 2


def test_another_share_of_masks_is_one_option() -> None:
    """Also by --cfg-options."""
    cfg = Config.fromfile(CONFIGS / 'vit-s_pascal5i_1shot_mixed10.py')
    cfg.merge_from_dict({'train_dataloader.dataset.masks': 0.03})
    assert DATASETS.build(
        dict(cfg.train_dataloader.dataset, lazy_init=True)).masked.partial


def test_an_improved_recipe_fits_another_backbone(tmp_path: Path) -> None:
    """Only the backbone is named; every size follows."""
    child = tmp_path / 'child.py'
    base = CONFIGS / 'dinov2-vit-s_pascal5i_1shot_quick_plus_mixed10.py'
    child.write_text(
        f"_base_ = '{base}'\nmodel = dict(cache=None, backbone=dict(arch='large'))\n")
    with torch.device('meta'):
        model = MODELS.build(Config.fromfile(child).model)
    assert model.neck.blocks[0].qkv.in_channels == 24 * 16
    assert model.metric.matrix.shape == (24, 1024, 1024)
    assert model.prior.matrix.shape == (12, 1024, 1024)
    assert model.labeler.plane.shape == (1024, )
    assert model.cls_head.layers[0].in_channels == 128 + 2 * 24
    assert model.labeler.probe.planes.shape == (80, 2 * 1024)


@pytest.mark.parametrize('hook, supervision', [
    ('PseudoLabelHook', 'image'), ('PseudoLabelEnhancerHook', 'mixed')])
def test_a_config_of_before_is_told_what_to_write(
        hook: str, supervision: str) -> None:
    """Its hook set the supervision; a model without one is refused, whoever builds it.
    """
    cfg = Config.fromfile(CONFIGS / 'vit-s_pascal5i_1shot.py')
    del cfg.model['supervision']
    with torch.device('meta'), pytest.raises(
            ValueError, match=f"model.supervision.*'{supervision}' where.*{hook}"):
        MODELS.build(cfg.model)


@pytest.mark.parametrize('name', ['vit-s_pascal5i_1shot', 'vit-s_coco20i_1shot'])
def test_selection_by_the_environment(
        name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of validation alone; without it as published."""
    monkeypatch.delenv('MMWSFS_SELECTION', raising=False)
    found = {'novel': Config.fromfile(CONFIGS / f'{name}.py')}
    monkeypatch.setenv('MMWSFS_SELECTION', 'base')
    found['base'] = Config.fromfile(CONFIGS / f'{name}.py')
    for selection, cfg in found.items():
        datasets = {loader: DATASETS.build(dict(cfg[loader].dataset, lazy_init=True))
                    for loader in LOADERS}
        assert datasets.pop('val_dataloader').choice.selection == selection
        assert {dataset.choice.selection for dataset in datasets.values()} == {'novel'}


RIVALS = sorted((CONFIGS.parent / 'rivals').glob('*_pascal5i*.py'))


@pytest.mark.parametrize('path', RIVALS, ids=names(RIVALS))
@pytest.mark.parametrize('protocol', ['FS-CS', 'FS-S'])
def test_a_rival_is_tested_and_no_more(
        path: Path, protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No training; masks for supports where its name says so; FS-S knows presence."""
    monkeypatch.setenv('MMWSFS_PROTOCOL', protocol)
    cfg = Config.fromfile(path)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    assert cfg.train_dataloader is cfg.val_dataloader is None
    assert 'train_cfg' not in cfg and 'optim_wrapper' not in cfg
    test = DATASETS.build(dict(cfg.test_dataloader.dataset, lazy_init=True))
    assert test.img_size == (224 if 'quick' in path.stem else 392)
    pixel = path.stem.endswith('_pixel')
    assert model.supervision == ('pixel' if pixel else 'image')
    assert test.support_masks == pixel and test.protocol == protocol
    assert model.gated == (protocol == 'FS-CS')
    assert model.blocks == [8, 9, 10, 11]


@pytest.mark.parametrize('base, size, side', [
    ('dinov2-vit-s_pascal5i_1shot_quick_plus', 256, 16),
    ('emat_dinov2-vit-s_pascal5i_1shot', 800, 50)])
def test_another_backbone_as_the_page_has_it(
        base: str, size: int, side: int, tmp_path: Path) -> None:
    """The lines of docs/configs.md upon both configs that it names."""
    page = (CONFIGS.parents[1] / 'docs/configs.md').read_text()
    section = page.split('## Another backbone')[1]
    assert f'{base}.py' in section and f'img_size={size}' in section
    lines = section.split('```python')[1].split('```')[0]
    child = tmp_path / 'child.py'
    child.write_text(lines.replace(
        './dinov2-vit-s_pascal5i_1shot_quick_plus', str(CONFIGS / base)).replace(
        'img_size=256', f'img_size={size}'))
    cfg = Config.fromfile(child)
    cfg.model.cache = None
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
        features = model.backbone.extract(torch.empty(1, 3, size, size))
    for loader in LOADERS:
        assert cfg[loader].dataset.img_size == size
    assert type(model.backbone).__name__ == 'DINOv3VisionTransformer'
    assert features.grid == (side, side)
