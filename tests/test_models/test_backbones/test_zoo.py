"""Every released backbone: its config, its official file, its tokens."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import timm
import torch
from mmengine.config import Config
from vit_reference import load_timm, official, tensors, timm_features

from mmwsfs.models.backbones import DINOVisionTransformer
from mmwsfs.models.backbones.dino_checkpoint import to_mmpretrain_names
from mmwsfs.models.build_part import build_part
from mmwsfs.registry import MODELS
from mmwsfs.structures import TokenGrid

REPO = Path(__file__).parents[3]
CONFIGS = REPO / 'configs/wsfs'
SCRIPT = REPO / 'tools/analysis_tools/backbone_table.py'


class Released(NamedTuple):
    """A released model; depth, heads and patches are those it was pretrained with."""

    url: str  # below https://dl.fbaipublicfiles.com/
    timm: str
    parameters: int  # of the file, with DINOv2's mask token
    width: int
    depth: int
    heads: int
    patch: int
    patches: int
    registers: int = 0

    @property
    def table(self):
        """The official file's names and shapes."""
        return self.shallow_table(self.depth, self.patches)

    def shallow_table(self, depth, patches):
        """The same for fewer blocks and smaller images."""
        return official(
            self.width, 4 * self.width, depth, self.patch, patches,
            layer_scale=self.patch == 14, swiglu=self.width == 1536,
            registers=self.registers)


def dino(name, timm_name, *rest):
    return Released(f'dino/{name}_pretrain/{name}_pretrain.pth', timm_name, *rest)


def dinov2(size, timm_size, *rest):
    return Released(
        f'dinov2/dinov2_vit{size}14/dinov2_vit{size}14_pretrain.pth',
        f'vit_{timm_size}_patch14_dinov2', *rest, 14, 37 * 37)


# The counts of parameters agree with those of timm's networks of these names.
ZOO = {
    'vit-s': dino(
        'dino_deitsmall8_300ep', 'vit_small_patch8_224',
        21_670_272, 384, 12, 6, 8, 28 * 28),
    'vit-s16': dino(
        'dino_deitsmall16', 'vit_small_patch16_224',
        21_665_664, 384, 12, 6, 16, 14 * 14),
    'vit-b8': dino(
        'dino_vitbase8', 'vit_base_patch8_224',
        85_807_872, 768, 12, 12, 8, 28 * 28),
    'vit-b16': dino(
        'dino_vitbase16', 'vit_base_patch16_224',
        85_798_656, 768, 12, 12, 16, 14 * 14),
    'dinov2-vit-s': dinov2('s', 'small', 22_056_576, 384, 12, 6),
    'dinov2-vit-b': dinov2('b', 'base', 86_580_480, 768, 12, 12),
    'dinov2-vit-l': dinov2('l', 'large', 304_368_640, 1024, 24, 16),
    'dinov2-vit-g': dinov2('g', 'giant', 1_136_480_768, 1536, 40, 24),
}
for size in 'sblg':
    plain = ZOO[f'dinov2-vit-{size}']
    ZOO[f'dinov2-vit-{size}-reg'] = plain._replace(
        url=plain.url.replace('_pretrain', '_reg4_pretrain'),
        timm=plain.timm.replace('patch14', 'patch14_reg4'),
        parameters=plain.parameters + 4 * plain.width,
        registers=4)
# DINOv3's, and what its released files are called; test_dinov3_vit.py has the rest.
DINOV3 = {
    'dinov3-vit-s': 'vits16', 'dinov3-vit-splus': 'vits16plus',
    'dinov3-vit-b': 'vitb16', 'dinov3-vit-l': 'vitl16', 'lingbot-vit-s': None}


@pytest.fixture(scope='module')
def tool():
    """tools/analysis_tools/backbone_table.py as a module."""
    spec = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[SCRIPT.stem] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[SCRIPT.stem]


def config_of(variant):
    return CONFIGS / f'{variant}_pascal5i_1shot.py'


def build_on_meta(settings):
    """A module without memory."""
    with torch.device('meta'):
        return MODELS.build(settings)


@pytest.mark.parametrize(
    'path', sorted(CONFIGS.glob('*.py')), ids=lambda path: path.stem)
def test_config(path):
    """Backbone, neck, image sizes and checkpoint of each config belong together."""
    cfg = Config.fromfile(path)
    backbone = build_on_meta(cfg.model.backbone)
    loaders = (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader)
    size, = {
        dataset.img_size for loader in loaders if loader
        for dataset in loader.dataset.get('datasets', [loader.dataset])}
    assert size % backbone.patch_size == 0

    features = backbone.extract(torch.empty(1, 3, size, size, device='meta'))
    side = size // backbone.patch_size
    assert features.grid == (side, side)
    assert features.tokens.shape == (
        1, backbone.num_layers, 1 + side * side, backbone.embed_dims)
    # The neck sees the same blocks, heads and width on fewer patches.
    features = TokenGrid(
        torch.randn(1, backbone.num_layers, 1 + 6, backbone.embed_dims), (2, 3))
    neck = build_part(
        cfg.model.neck, num_layers=backbone.num_layers, num_heads=backbone.num_heads)
    for maps in neck(features, features, torch.ones(1, size, size)):
        assert maps.shape[2:] == (2, 3)
        assert torch.isfinite(maps).all()

    checkpoint = cfg.model.backbone.init_cfg.checkpoint
    if checkpoint.startswith('hf://'):
        name = DINOV3[path.stem.partition('_')[0]]
        assert checkpoint == (
            f'hf://facebook/dinov3-{name}-pretrain-lvd1689m/model.safetensors')
        assert cfg.model.labeler.adaptive == 0.5
    elif checkpoint.startswith('https://'):
        released, = (
            f'https://dl.fbaipublicfiles.com/{net.url}' for net in ZOO.values()
            if (net.width, net.patch, net.registers) == (
                backbone.embed_dims, backbone.patch_size, backbone.num_registers))
        assert checkpoint == released


@pytest.mark.parametrize('variant', ZOO)
def test_full_size_has_the_official_shapes(variant):
    """All names and shapes of the file and of our network, and their number."""
    net = ZOO[variant]
    cfg = Config.fromfile(config_of(variant)).model
    backbone = build_on_meta(cfg.backbone)
    in_file = {
        name: torch.empty(shape, device='meta')
        for name, (_, shape) in net.table.items()}
    assert sum(value.numel() for value in in_file.values()) == net.parameters
    expected = {
        name: value.shape for name, value in to_mmpretrain_names(in_file).items()}
    assert expected == {
        name: value.shape for name, value in backbone.state_dict().items()}
    assert backbone.num_heads == net.heads
    assert backbone.patch_resolution[0]**2 == net.patches
    # The paper's threshold was chosen for DINO ViT-S/8.
    assert (cfg.labeler.get('adaptive') is None) == (variant == 'vit-s')


@pytest.mark.parametrize('variant', ZOO)
@torch.no_grad()
def test_tokens_equal_timm(variant, tmp_path):
    """Two blocks of full width from a file: timm's network of that name agrees.

    The images are of 5x5 patches, and so are the file's position embeddings; how ours
    are interpolated to other sizes is compared in test_dino_vit.py.
    """
    net = ZOO[variant]
    size = 5 * net.patch
    weights = tensors(net.shallow_table(depth=2, patches=25))
    path = tmp_path / 'official.pth'
    torch.save(weights, path)
    settings = Config.fromfile(config_of(variant)).model.backbone
    arch = DINOVisionTransformer.arch_zoo[settings.arch]
    settings.update(
        arch=dict(arch, num_layers=2), img_size=size,
        init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    backbone = MODELS.build(settings)
    backbone.init_weights()
    path.unlink()
    reference = load_timm(
        timm.create_model(net.timm, depth=2, img_size=size, num_classes=0), weights)
    images = torch.randn(1, 3, size, size)

    features = backbone.extract(images)
    tokens, queries, keys = timm_features(reference, images)

    assert features.tokens.shape == (1, 2, 1 + 25, net.width)
    torch.testing.assert_close(
        features.tokens, torch.stack(tokens, dim=1), rtol=0, atol=1e-4)
    torch.testing.assert_close(
        features.cls_query, queries[:, :, 0], rtol=0, atol=1e-4)
    torch.testing.assert_close(
        features.keys, keys[:, :, 1:], rtol=0, atol=1e-4)
    maps, = backbone(images)
    torch.testing.assert_close(
        maps.flatten(2).transpose(1, 2), tokens[-1][:, 1:], rtol=0, atol=1e-4)


@pytest.mark.parametrize('variant', [
    name for name, net in ZOO.items() if net.width == 384])
def test_official_file_loads_at_full_size(variant, tmp_path):
    """The small networks entirely, each tensor to its place."""
    table = ZOO[variant].table
    # One number a tensor, stored once: the file stays small.
    weights = {
        name: torch.tensor(float(number)).expand(shape)
        for number, (name, (_, shape)) in enumerate(table.items())}
    path = tmp_path / 'official.pth'
    torch.save(weights, path)
    settings = Config.fromfile(config_of(variant)).model.backbone
    settings.init_cfg.checkpoint = str(path)
    backbone = MODELS.build(settings)
    backbone.init_weights()
    loaded = backbone.state_dict()
    assert loaded.keys() == {name for name, _ in table.values() if name}
    for name, (ours, _) in table.items():
        if ours:
            assert torch.equal(loaded[ours], weights[name]), name


def test_backbones_md(tool):
    """The page lists every released backbone, with what the script counts."""
    page = (CONFIGS / 'BACKBONES.md').read_text()
    rows = {
        cells[0]: cells for cells in (
            tuple(cell.strip() for cell in line.strip('|').split('|'))
            for line in page.splitlines() if line.startswith('| ['))}
    assert len(rows) == len(ZOO) + len(DINOV3)
    for variant in (*ZOO, *DINOV3):
        row = tool.measure(config_of(variant))
        cells = row.cells()
        assert rows[cells[0]][:len(cells)] == cells
        # Tokens of all blocks, CLS's query and the patches' keys; two bytes a number.
        net, patches = row.backbone, row.grid[0] * row.grid[1]
        assert row.feature_bytes == 2 * (net.num_layers + 1) * net.embed_dims * (
            1 + patches)
    for variant, net in ZOO.items():
        assert tool.measure(config_of(variant)).parameters == (
            net.parameters - (net.width if net.patch == 14 else 0))


@pytest.mark.skipif(
    not Path('/proc/self/clear_refs').exists(), reason='peaks are measured on Linux')
def test_peak_memory(tool):
    """The features count twice, by block and stacked; the weights do not."""
    config = config_of('vit-s16')
    output = subprocess.run(
        [sys.executable, str(SCRIPT), '--peak', str(config)], check=True,
        capture_output=True, text=True).stdout
    header, rule, row = output.splitlines()
    assert header.count('|') == rule.count('|') == row.count('|') == 10
    peak = 1e6 * int(re.search(r'(\d+) MB \|$', row)[1])
    measured = tool.measure(config)
    tokens = 4 * 12 * 384 * (1 + 30 * 30)
    assert 2 * tokens < peak < 4 * measured.parameters
