"""What is kept of a carried config, and which names a registry has."""
from __future__ import annotations

import pytest
from mmengine.config import Config

from mmwsfs.models import FewShotSegmentor
from mmwsfs.registry import MODELS
from mmwsfs.utils.carried_config import backbone_sources, predicting_part, registered
from mmwsfs.utils.carried_config_text import config_text, parse_config


def test_what_is_kept(tiny_config: Config) -> None:
    """The model and how images are prepared; no folder, hook or loop of the trainer."""
    tiny_config.model.cache = dict(ram_gb=1)
    tiny_config.model.init_cfg = dict(type='Pretrained', checkpoint='/a/b.pth')
    tiny_config.test_dataloader.dataset.img_size = 32
    tiny_config.custom_imports = dict(imports=['os'])
    kept = predicting_part(tiny_config.to_dict(), 'x.pth')
    assert kept.keys() == {'default_scope', 'model', 'test_dataloader'}
    dataset = kept['test_dataloader']['dataset']
    assert dataset.keys() == {'img_size', 'pipeline'}
    expected = tiny_config.model.to_dict()
    del expected['cache'], expected['init_cfg']
    assert kept['model'] == expected


def test_the_backbones_sources_stay(tiny_config: Config) -> None:
    """Those of type Pretrained, with nothing beside the address, at any depth."""
    backbone = tiny_config.model.backbone
    backbone.init_cfg = dict(
        type='Pretrained', checkpoint='hf://a/b/c.pth', map_location='cuda')
    backbone['cnn'] = dict(type='DINOVisionTransformer', init_cfg=dict(
        type='Pretrained', checkpoint='https://a.b/c.pth'))
    tiny_config.model.neck.init_cfg = dict(type='Pretrained', checkpoint='x')
    kept = predicting_part(tiny_config.to_dict(), 'x.pth')
    assert [*backbone_sources(kept)] == ['hf://a/b/c.pth', 'https://a.b/c.pth']
    assert kept['model']['backbone']['init_cfg'] == dict(
        type='Pretrained', checkpoint='hf://a/b/c.pth')
    assert 'init_cfg' not in kept['model']['neck']


@pytest.mark.parametrize(('name', 'found'), [
    ('FewShotSegmentor', True), ('mmwsfs.FewShotSegmentor', True),
    ('mmseg.EncoderDecoder', True), ('mmpretrain.VisionTransformer', True),
    ('CrossEntropyLoss', True), ('mmseg.CrossEntropyLoss', True), ('BN', True),
    ('mmengine.BaseDataPreprocessor', True), ('mmseg.BN', True), ('GELU', True),
    # MMEngine would import these
    ('os', False), ('os.system', False), ('mmengine.dump', False),
    ('mmseg.apis', False), ('mmwsfs.apis', False), ('mmcv.imwrite', False),
    ('mmwsfs.EncoderDecoder', False), ('absent', False),
])
def test_names(name: str, found: bool) -> None:
    """What is registered, and what only Python's import would find."""
    assert (registered(MODELS, name) is not None) == found
    if name.endswith('FewShotSegmentor'):
        assert registered(MODELS, name) is FewShotSegmentor


def test_text(tiny_config: Config) -> None:
    """Both forms of a config's text give its values, tuples as tuples."""
    values = dict(a=(1, -2.5), b=[None, True, 'x'], c={'d': {1: 2}}, e=dict(f=()))
    assert parse_config(config_text(values), 'x') == values
    assert parse_config(Config(values).pretty_text, 'x') == values
    assert parse_config(tiny_config.pretty_text, 'x') == tiny_config.to_dict()
    with pytest.raises(ValueError, match="'a b' is no name"):
        config_text({'a b': 1})
