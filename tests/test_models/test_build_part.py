"""build_part: sizes of the backbone reach every part that asks for them."""

import pytest
from mmengine.config import ConfigDict
from torch import nn

from mmwsfs.models import ClassProbe, CorrelationTransformer
from mmwsfs.models.build_part import build_part
from mmwsfs.registry import MODELS

SIZES = dict(num_layers=3, num_heads=2, embed_dims=24)


def test_none():
    """A part that the config does not have."""
    assert build_part(None, **SIZES) is None


def test_takes_what_it_asks_for():
    """Not the width, which the neck has no argument for."""
    neck = build_part(dict(type='CorrelationTransformer'), **SIZES)
    assert neck.num_heads == 2 and neck.blocks[0].qkv.in_channels == 6


def test_sizes_reach_parts_of_parts():
    """Each as it asks: an enhancer the heads, a probe the width."""
    labeler = build_part(dict(
        type='EnhancedLabeler', enhancer=dict(type='PseudoLabelEnhancer'),
        probe=dict(type='ClassProbe', num_classes=4, layers=(0, 2))), **SIZES)
    assert labeler.enhancer.layers[0].in_channels == 2
    assert labeler.probe.planes.shape == (4, 2 * 24)


@pytest.mark.parametrize('kind', [dict, ConfigDict])
def test_what_the_config_says_wins(kind):
    """Of a part and of a part of it; the config is left as it was."""
    config = kind(
        type='EnhancedLabeler', enhancer=kind(type='PseudoLabelEnhancer', num_heads=5),
        probe=kind(type='ClassProbe', num_classes=4, layers=(0, )))
    before = repr(config)
    labeler = build_part(config, **SIZES)
    assert labeler.enhancer.layers[0].in_channels == 5
    assert labeler.probe.planes.shape == (4, 24)
    assert repr(config) == before
    neck = build_part(dict(type='CorrelationTransformer', num_layers=1), **SIZES)
    assert neck.blocks[0].qkv.in_channels == 2


def test_a_class_in_the_place_of_a_name():
    """As the registry takes one."""
    assert isinstance(
        build_part(dict(type=CorrelationTransformer), **SIZES), CorrelationTransformer)
    probe = build_part(dict(type=ClassProbe, num_classes=2, layers=(0, )), **SIZES)
    assert probe.planes.shape == (2, 24)


def test_other_configs_inside_are_left_alone():
    """An init_cfg or a loss has a type too, and no sizes."""
    head = build_part(
        dict(type='FewShotClsHead', loss_cls=dict(type='mmseg.CrossEntropyLoss'),
             init_cfg=dict(type='Normal', layer='Conv2d', std=0.01)), in_channels=12)
    assert head.layers[0].in_channels == 12
    assert head.init_cfg == dict(type='Normal', layer='Conv2d', std=0.01)


def test_an_unknown_type_is_the_registrys_error():
    """It names what was written."""
    with pytest.raises(KeyError, match='NoSuchNeck'):
        build_part(dict(type='NoSuchNeck'), **SIZES)


def test_a_part_without_sizes_gets_none():
    """Its constructor is called with its own settings."""

    @MODELS.register_module(name='_Bare', force=True)
    class Bare(nn.Module):
        def __init__(self, width: int = 1) -> None:
            super().__init__()
            self.width = width

    try:
        assert build_part(dict(type='_Bare', width=3), **SIZES).width == 3
    finally:
        MODELS.module_dict.pop('_Bare')
