"""--amp: which backbones it keeps in bfloat16."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from mmwsfs.cli import common
from mmwsfs.cli.common import shorten_backbone, warn_of_slow_bfloat16
from mmwsfs.models import DINOv3VisionTransformer

DINO = dict(type='DINOVisionTransformer')


@pytest.mark.parametrize('device, supported, backbone, dtype', [
    ('cpu', None, DINO, 'bfloat16'),
    ('cpu', None, dict(type='mmwsfs.DINOVisionTransformer', frozen=True), 'bfloat16'),
    ('cpu', None, dict(type=DINOv3VisionTransformer), 'bfloat16'),
    ('cuda', True, DINO, 'bfloat16'),
    # What the user says stays.
    ('cpu', None, dict(DINO, dtype='float32'), 'float32'),
    # Autocast does as well or better.
    ('cuda', False, DINO, None),
    ('mps', None, DINO, None),
    # Steps of training would be lost; or there is no such setting.
    ('cpu', None, dict(DINO, frozen=False), None),
    ('cpu', None, dict(type='ViTAdapter'), None),
    ('cpu', None, dict(type='CNNAdapter'), None),
    ('cpu', None, None, None),
])
def test_which_backbones(monkeypatch: pytest.MonkeyPatch, device: str,
                         supported: bool | None, backbone: dict | None,
                         dtype: str | None) -> None:
    monkeypatch.setattr('mmengine.device.get_device', lambda: device)
    monkeypatch.setattr(
        'torch.cuda.is_bf16_supported', lambda including_emulation: supported)
    cfg = Config(dict(model=dict(backbone=backbone)))
    shorten_backbone(cfg)
    assert (cfg.model.backbone or {}).get('dtype') == dtype


@pytest.mark.parametrize('device, machine, avx512, amx, told', [
    ('cpu', 'x86_64', False, False, True), ('cpu', 'x86_64', True, False, False),
    ('cpu', 'AMD64', False, True, False), ('cpu', 'arm64', False, False, False),
    ('cuda', 'x86_64', False, False, False)])
def test_a_processor_that_imitates_bfloat16(
        monkeypatch: pytest.MonkeyPatch, device: str, machine: str, avx512: bool,
        amx: bool, told: bool) -> None:
    """--amp costs time there, and whoever gives it hears of it."""
    lines: list[str] = []
    monkeypatch.setattr('mmengine.device.get_device', lambda: device)
    monkeypatch.setattr('platform.machine', lambda: machine)
    monkeypatch.setattr('torch.cpu._is_avx512_bf16_supported', lambda: avx512)
    monkeypatch.setattr('torch.cpu._is_amx_tile_supported', lambda: amx)
    monkeypatch.setattr(common, 'print_log', lambda line, *args: lines.append(line))
    warn_of_slow_bfloat16()
    assert [line.endswith('leave --amp out') for line in lines] == [True] * told
