"""Measure the backbones of configs: the table of configs/wsfs/BACKBONES.md.

    backbone_table.py CONFIG [CONFIG ...] [--peak]

No checkpoint is read: parameters, tokens and features are counted on torch's meta
device. --peak also runs each backbone, with made weights, on one image on the CPU.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmwsfs.models.backbones import DINOv3VisionTransformer, DINOVisionTransformer
from mmwsfs.registry import MODELS
from mmwsfs.utils.peak_memory import give_freed_memory_back, peak_growth
from mmwsfs.utils.tables import markdown_table

Backbone = DINOVisionTransformer | DINOv3VisionTransformer

COLUMNS = ('config', 'width x blocks, heads', 'patch', 'registers', 'parameters',
           'input', 'patch tokens', 'bytes of features')


@dataclass
class Row:
    """A config's backbone in numbers.

    Attributes:
        config: path of the config file.
        backbone: on the meta device.
        parameters: of the backbone, how many.
        size: (height, width) of the images, in pixels.
        grid: (height, width) of the images, in patches.
        feature_bytes: of an image's features in half precision, as
            ``model.cache`` keeps them.
    """

    config: Path
    backbone: Backbone
    parameters: int
    size: tuple[int, int]
    grid: tuple[int, int]
    feature_bytes: int

    def cells(self) -> tuple[str, ...]:
        """The row of the table, in the order of ``COLUMNS``."""
        net = self.backbone
        return (
            f'[{self.config.stem}]({self.config.name})',
            f'{net.embed_dims} x {net.num_layers}, {net.num_heads}',
            str(net.patch_size), str(net.num_registers), f'{self.parameters:,}',
            '{}x{}'.format(*self.size), '{}x{}'.format(*self.grid),
            f'{self.feature_bytes:,}')


def on_meta(config: Path) -> tuple[Backbone, torch.Tensor]:
    """The config's backbone, and one of its test images, both without memory."""
    cfg = Config.fromfile(config)
    init_default_scope(cfg.default_scope)
    size = cfg.test_dataloader.dataset.get('img_size')
    if size is None:
        raise ValueError(f"the test dataset of '{config}' has no img_size: set one")
    with torch.device('meta'):
        return MODELS.build(cfg.model.backbone), torch.empty(1, 3, size, size)


def measure(config: Path) -> Row:
    """What shapes alone tell."""
    backbone, image = on_meta(config)
    features = backbone.extract(image)
    return Row(
        config=config,
        backbone=backbone,
        parameters=sum(parameter.numel() for parameter in backbone.parameters()),
        size=tuple(image.shape[-2:]),
        grid=features.grid,
        feature_bytes=features.map(lambda tensor: tensor.half()).nbytes)


@torch.no_grad()
def measure_peak(config: Path) -> int:
    """Bytes that ``extract`` of one image needs beside the weights, in float32.

    On the CPU, under Linux with glibc: how far the process grows.
    """
    give_freed_memory_back()
    backbone, image = on_meta(config)
    backbone.to_empty(device='cpu')
    for parameter in backbone.parameters():
        parameter.fill_(0.01)  # memory that was never written to does not count
    image = torch.ones(image.shape)
    patch = backbone.patch_size
    backbone.extract(image[..., :patch, :patch])  # libraries load their code
    return peak_growth(lambda: backbone.extract(image))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', nargs='+', type=Path, help='config files')
    parser.add_argument(
        '--peak', action='store_true',
        help='measure the peak memory of one pass too (Linux with glibc)')
    args = parser.parse_args()
    rows = sorted((measure(path) for path in args.config), key=lambda r: r.parameters)
    header, table = [*COLUMNS], [[*row.cells()] for row in rows]
    if args.peak:
        header.append('peak of one pass')
        for cells, row in zip(table, rows):
            cells.append(f'{measure_peak(row.config) / 1e6:,.0f} MB')
    print(markdown_table(header, table))


if __name__ == '__main__':
    main()
