"""Draws ``docs/photographs.png``: what models say of photographs outside all data.

    python docs/figures/photographs.py

A row a model: the support with the mask that the model used, then queries. The
photographs come with the package gradio.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mmwsfs.apis import FewShotInferencer
from mmwsfs.visualization.episode_visualizer import read_rgb, row

SUPPORT = 'cheetah1.jpg'
QUERIES = ('cheetah.jpg', 'lion.jpg', 'tower.jpg', 'bus.png')
# Of every row the model, and what the class is not.
ROWS = (
    ('cst-photos', ()),
    ('cst-photos', ('lion.jpg',)),
    ('prototypes', ()))
TILE = 220


def photographs() -> Path:
    """The folder of gradio's."""
    spec = importlib.util.find_spec('gradio')
    if spec is None or spec.origin is None:
        raise SystemExit("the photographs come with gradio: pip install 'mmwsfs[app]'")
    return Path(spec.origin).parent / 'media_assets/images'


def picture(model: str, negatives: Sequence[str], folder: Path) -> np.ndarray:
    """(H, W, 3) uint8, RGB: the support and the queries, each with its mask."""
    inferencer = FewShotInferencer(model)
    inferencer.set_supports(
        {'cheetah': folder / SUPPORT},
        negatives={'cheetah': [folder / name for name in negatives]})
    supports = inferencer.supports
    assert supports is not None
    words = [Path(name).stem for name in negatives]
    title = model + (f", no {' or '.join(words)}" if words else '')
    tiles = [(title, supports.pictures[0][0],
              supports.masks[0][0].numpy().astype(np.uint8))]
    for result in inferencer([folder / name for name in QUERIES]):
        says = 'present' if result['present'] else 'absent'
        tiles.append((
            f"{says}, p = {result['presence']['cheetah']:.2f}",
            read_rgb(result['image']), result['label_map']))
    return row(tiles, TILE)


def main() -> None:
    rows = [picture(model, negatives, photographs()) for model, negatives in ROWS]
    target = Path(__file__).parents[1] / 'photographs.png'
    Image.fromarray(np.concatenate(rows)).quantize(200).save(target, optimize=True)
    print(target)


if __name__ == '__main__':
    main()
