"""Torch hubs' names of ViTs: the addresses that the configs have, and no others."""
from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from mmwsfs.utils.carried_config import portable
from mmwsfs.utils.hub_names import hub_url

CONFIGS = Path(__file__).parents[2] / 'configs/wsfs'


@pytest.mark.parametrize(('name', 'config'), [
    ('dino_vits16', 'vit-s16'), ('dino_vitb8', 'vit-b8'), ('dino_vitb16', 'vit-b16'),
    *((f'dinov2_vit{size}14{reg}', f'dinov2-vit-{size}{reg.replace("_", "-")}')
      for size in 'sblg' for reg in ('', '_reg')),
    ('dinov3_vits16', 'dinov3-vit-s')])
def test_addresses_of_the_configs(name: str, config: str) -> None:
    cfg = Config.fromfile(CONFIGS / f'{config}_pascal5i_1shot.py')
    assert hub_url(name) == cfg.model.backbone.init_cfg.checkpoint


def test_dino_vits8() -> None:
    """The hub's; the paper's config has one of 300 epochs."""
    assert hub_url('dino_vits8') == (
        'https://dl.fbaipublicfiles.com/dino/dino_deitsmall8_pretrain/'
        'dino_deitsmall8_pretrain.pth')


@pytest.mark.parametrize('size', ['s16plus', 'b16', 'l16', 'h16plus'])
def test_gated_ones(size: str) -> None:
    assert hub_url(f'dinov3_vit{size}') == (
        f'hf://facebook/dinov3-vit{size}-pretrain-lvd1689m/model.safetensors')


@pytest.mark.parametrize('name', [
    '', 'dinov2_vits16', 'dinov2_vits14_reg4', 'dino_vitl16', 'dinov3_vits14',
    './dino_vits8', 'dino_vits8.pth', 'dino_vits8\n', 'xdino_vits8'])
def test_other_names(name: str) -> None:
    assert hub_url(name) is None


@pytest.mark.parametrize(('source', 'expected'), [
    ('https://a.b/c.pth', True), ('hf://a/b/c.pth', True), ('pypi://a==1', True),
    ('dinov2_vits14', True), ('./dinov2_vits14', False), ('file:///c.pth', False),
    ('c.pth', False), ('s3://a/b', False), (None, False)])
def test_what_others_can_fetch(source: object, expected: bool) -> None:
    """A published checkpoint may take its backbone from there."""
    assert portable(source) is expected
