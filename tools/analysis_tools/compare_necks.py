"""Compare neck and heads of configs: parameters, time and memory of a pair.

    compare_necks.py CONFIG [CONFIG ...] [--grid 50] [--object 1.0] [--peak]

A pair is a query and a support of made features. Times are of one CPU thread, medians
of five rounds that take the configs in turn, in units of the first config's. --peak
measures memory in their place (Linux with glibc): the peak beside weights and features,
in float32. `forward` keeps nothing for a backward pass.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from mmwsfs.models.build_part import build_part
from mmwsfs.models.necks.correlation_transformer import kept_keys
from mmwsfs.registry import MODELS
from mmwsfs.structures import TokenGrid
from mmwsfs.utils.peak_memory import give_freed_memory_back, peak_growth
from mmwsfs.utils.tables import markdown_table

COLUMNS = ('config', 'parameters of the neck', 'with heads', 'keys kept', 'forward',
           'forward and backward')
RUNS = ('forward', 'forward_backward')  # methods of Pair
ROUNDS = 5


class Pair:
    """Neck and heads of a config, with a pair of images for them.

    Args:
        config: a config file; only its model is read, and no checkpoint.
        grid: query and support are of grid x grid patches.
        object_share: share of the support image, above 0 and at most 1, that its
            object takes: a square in the middle.
    """

    def __init__(self, config: Path, grid: int, object_share: float) -> None:
        model = Config.fromfile(config).model
        with torch.device('meta'):
            backbone = MODELS.build(model.backbone)
        self.name = config.stem
        self.neck = build_part(
            model.neck, num_layers=backbone.num_layers, num_heads=backbone.num_heads)
        self.cls_head, self.seg_head = (
            build_part(head, in_channels=self.neck.out_channels)
            for head in (model.cls_head, model.seg_head))
        self.query, self.support = (
            TokenGrid(
                torch.randn(
                    1, backbone.num_layers, 1 + grid * grid, backbone.embed_dims),
                (grid, grid)) for _ in range(2))
        size = grid * backbone.patch_size
        side = round(size * object_share**0.5)
        start = (size - side) // 2
        self.mask = torch.zeros(1, size, size, dtype=torch.bool)
        self.mask[:, start:start + side, start:start + side] = True
        self.presence = torch.tensor([True])

    @property
    def kept(self) -> str:
        """How many support tokens the first block may attend to, of how many."""
        keep = kept_keys(self.mask, self.neck.support_size)
        return f'{int(keep.sum())} of {keep.numel()}'

    @torch.no_grad()
    def forward(self) -> None:
        """Logits at the size of the image."""
        cls_map, seg_map = self.neck(self.query, self.support, self.mask)
        self.cls_head(cls_map)
        self.seg_head(seg_map, tuple(self.mask.shape[-2:]))

    def forward_backward(self) -> None:
        """Losses, and their gradients to the parameters."""
        cls_map, seg_map = self.neck(self.query, self.support, self.mask)
        losses = {**self.cls_head.loss(cls_map, self.presence),
                  **self.seg_head.loss(seg_map, self.mask)}
        sum(losses.values()).backward()


def parameters(*modules: nn.Module) -> int:
    """How many numbers are learned."""
    return sum(
        parameter.numel() for module in modules for parameter in module.parameters())


def cpu_seconds(run: Callable[[], object]) -> float:
    """CPU time of one call."""
    start = time.process_time()
    run()
    return time.process_time() - start


def measure_times(pairs: Sequence[Pair]) -> list[list[str]]:
    """Cells of every pair: median CPU seconds, and how often the first pair's."""
    columns = []
    for name in RUNS:
        runs = [getattr(pair, name) for pair in pairs]
        # The first round is a warm-up.
        rounds = [[cpu_seconds(run) for run in runs] for _ in range(1 + ROUNDS)][1:]
        seconds = [median(times) for times in zip(*rounds)]
        columns.append([f'{own / seconds[0]:.2f} ({own:.2f} s)' for own in seconds])
    return [list(cells) for cells in zip(*columns)]


def measure_peaks(pairs: Sequence[Pair], small: Sequence[Pair]) -> list[list[str]]:
    """Cells of every pair: peak memory. ``small`` pairs are the warm-up."""
    for pair in small:
        for name in RUNS:
            getattr(pair, name)()
    return [
        [f'{peak_growth(getattr(pair, name)) / 1e6:,.0f} MB' for name in RUNS]
        for pair in pairs]


def share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f'{text} is not above 0 and at most 1')
    return value


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', nargs='+', type=Path, help='config files')
    parser.add_argument(
        '--grid', type=int, default=50, help='patches of an image in a row')
    parser.add_argument(
        '--object', type=share, default=1.0,
        help="share of the support image that is the object's")
    parser.add_argument(
        '--peak', action='store_true', help='peak memory instead of times')
    args = parser.parse_args()
    if args.peak:
        give_freed_memory_back()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    init_default_scope('mmwsfs')
    pairs = [Pair(path, args.grid, args.object) for path in args.config]
    if args.peak:
        small = [Pair(path, 2, args.object) for path in args.config]
        measured = measure_peaks(pairs, small)
    else:
        measured = measure_times(pairs)
    print(markdown_table(COLUMNS, [
        (pair.name, f'{parameters(pair.neck):,}',
         f'{parameters(pair.neck, pair.cls_head, pair.seg_head):,}', pair.kept, *cells)
        for pair, cells in zip(pairs, measured)]))


if __name__ == '__main__':
    main()
