"""A small synthetic few-shot dataset: painted toys on a messy carpet.

It has the folder layout of Pascal VOC and the split lists of PASCAL-5i, so that
whatever reads those reads this as well. Each of the 20 classes is a shape with its
own texture and its own pair of colours.
"""
from __future__ import annotations

import colorsys
import math
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from PIL import Image

# (name, shape, texture, the two colours), five classes to a fold.
_CLASSES = (
    ('striped_star', 'star', 'stripes', '#cf2a27', '#f3dfb8'),
    ('dotted_ring', 'ring', 'dots', '#2450c8', '#bfe3f5'),
    ('checked_heart', 'heart', 'checks', '#e0489a', '#5a1650'),
    ('brick_house', 'house', 'bricks', '#d9792b', '#f6e9d8'),
    ('zigzag_bolt', 'bolt', 'zigzag', '#f0d22c', '#2a7a3a'),
    ('scaly_fish', 'fish', 'scales', '#f08a1e', '#8c2f10'),
    ('wavy_leaf', 'leaf', 'waves', '#3da23a', '#c6e67a'),
    ('spotted_mushroom', 'mushroom', 'spots', '#c81e3a', '#fbf3ea'),
    ('spiral_disc', 'disc', 'spiral', '#7a35c4', '#f2d648'),
    ('dashed_key', 'key', 'dashes', '#1fa3b8', '#123a66'),
    ('gridded_hexagon', 'hexagon', 'grid', '#23a06a', '#f4f0c8'),
    ('marbled_crescent', 'crescent', 'marble', '#e8e4ee', '#6c4fb0'),
    ('plaid_bottle', 'bottle', 'plaid', '#b3202c', '#1d3f7c'),
    ('tiled_arrow', 'arrow', 'tiles', '#f2a516', '#3a2a1c'),
    ('grainy_gear', 'gear', 'grain', '#2f7fd8', '#e6eef6'),
    ('bubbly_cross', 'cross', 'bubbles', '#19b5a5', '#f7f7e6'),
    ('rayed_flower', 'flower', 'rays', '#f0c419', '#d8452e'),
    ('ringed_triangle', 'triangle', 'rings', '#c43fc0', '#f6d3ee'),
    ('quilted_boat', 'boat', 'diamonds', '#2b46b0', '#f08b3c'),
    ('knitted_tree', 'tree', 'knit', '#2e7d32', '#e4f2c4'),
)
DEMO_CLASSES: tuple[str, ...] = tuple(row[0] for row in _CLASSES)

_FOLDS, _PER_FOLD = 4, 5
_SPLITS = ('trn', 'val')
_MIN_AREA = 0.025  # of the image: nothing smaller is drawn
_OVERSAMPLE = 4
_TAU = 2 * math.pi


# ---------------------------------------------------------------- shapes
def _polar(radius: Callable[[np.ndarray], np.ndarray], n: int = 180) -> np.ndarray:
    """The closed curve of a radius given as a function of the angle, (n, 2)."""
    t = np.arange(n) * _TAU / n - np.pi / 2
    return np.stack([radius(t) * np.cos(t), radius(t) * np.sin(t)], 1)


def _ngon(n: int, radius: float = 1.0, x: float = 0.0, y: float = 0.0) -> np.ndarray:
    """A regular polygon with one corner up, (n, 2)."""
    return _polar(lambda t: np.full_like(t, radius), n) + (x, y)


def _make_shapes() -> dict[str, tuple[list[np.ndarray], list[np.ndarray]]]:
    """Polygons to fill and then polygons to cut out, about within [-1, 1], y down."""
    star = _ngon(10) * np.where(np.arange(10) % 2, 0.5, 1.0)[:, None]
    t = np.linspace(0, _TAU, 120, endpoint=False)
    heart = np.stack([
        np.sin(t) ** 3,
        -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 16,
    ], 1)
    cap = _ngon(120, 1.0) * (1, 0.95)
    solids = {
        'star': [star],
        'ring': [_ngon(120)],
        'heart': [heart],
        'house': [[(0, -1), (1, -.15), (.8, -.15), (.8, .9), (-.8, .9), (-.8, -.15),
                   (-1, -.15)], [(.4, -.9), (.7, -.9), (.7, 0), (.4, 0)]],
        'bolt': [[(.3, -1), (-.65, .15), (-.08, .15), (-.4, 1), (.7, -.3), (.1, -.3),
                  (.65, -1)]],
        'fish': [_ngon(120) * (.75, .5) + (.25, 0), [(-.3, 0), (-1, -.55), (-.8, 0),
                 (-1, .55)], [(.0, -.4), (.2, -.75), (.5, -.4)]],
        'leaf': [np.stack([np.sin(t) * np.abs(np.sin(t / 2)) * .75,
                           -np.cos(t) * .85 - .1], 1),
                 [(-.06, .5), (.06, .5), (.1, 1.05), (-.05, 1.05)]],
        'mushroom': [cap[cap[:, 1] <= 0.02], [(-.32, 0), (.32, 0), (.42, .9),
                     (-.42, .9)]],
        'disc': [_ngon(120)],
        'key': [_ngon(60, .52, -.5), [(-.2, -.15), (1.1, -.15), (1.1, .15),
                (-.2, .15)], [(.85, 0), (1.1, 0), (1.1, .55), (.85, .55)],
                [(.42, 0), (.67, 0), (.67, .45), (.42, .45)]],
        'hexagon': [_ngon(6)],
        'crescent': [_ngon(120)],
        'bottle': [[(-.16, -1), (.16, -1), (.16, -.5), (.45, -.2), (.45, 1), (-.45, 1),
                    (-.45, -.2), (-.16, -.5)], [(-.23, -1), (.23, -1), (.23, -.85),
                                                (-.23, -.85)]],
        'arrow': [[(0, -1), (.85, -.1), (.36, -.1), (.36, .95), (-.36, .95),
                   (-.36, -.1), (-.85, -.1)]],
        'gear': [_polar(lambda t: np.where(np.sin(9 * t) > 0, 1.0, .78), 360)],
        'cross': [[(-.33, -1), (.33, -1), (.33, 1), (-.33, 1)],
                  [(-1, -.33), (1, -.33), (1, .33), (-1, .33)]],
        'flower': [_polar(lambda t: .74 + .26 * np.cos(6 * t))],
        'triangle': [_ngon(3, 1.1)],
        'boat': [[(-1, .35), (1, .35), (.6, .95), (-.65, .95)], [(-.12, -1), (.12, -1),
                 (.12, .4), (-.12, .4)], [(.0, -1), (.85, .15), (.0, .15)],
                 [(.0, -.8), (-.7, .15), (.0, .15)]],
        'tree': [[(0, -1), (.5, -.4), (-.5, -.4)], [(0, -.75), (.68, .1), (-.68, .1)],
                 [(0, -.4), (.85, .65), (-.85, .65)], [(-.17, .6), (.17, .6), (.17, 1),
                                                       (-.17, 1)]],
    }
    holes = {
        'ring': [_ngon(120, .45)],
        'key': [_ngon(60, .2, -.52)],
        'crescent': [_ngon(120, .78, .5, -.1)],
        'gear': [_ngon(60, .28)],
    }
    return {name: ([np.asarray(p, float) for p in polygons], holes.get(name, []))
            for name, polygons in solids.items()}


_SHAPES = _make_shapes()


def _rasterise(shape: str, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draw a shape with rounded corners and antialiased edges.

    Args:
        shape: A key of ``_SHAPES``.
        matrix: (2, 2), takes shape coordinates to pixels.

    Returns:
        The coverage, float32 (h, w) in [0, 1], tightly around the shape, and the
        shape coordinates of every pixel, float32 (2, h, w).
    """
    solids, holes = _SHAPES[shape]
    points = np.concatenate(solids) @ matrix.T
    low, high = np.floor(points.min(0)) - 1, np.ceil(points.max(0)) + 1
    width, height = (high - low).astype(int)
    canvas = np.zeros((height * _OVERSAMPLE, width * _OVERSAMPLE), np.uint8)
    for polygons, value in ((solids, 255), (holes, 0)):
        for polygon in polygons:
            pixels = (polygon @ matrix.T - low) * _OVERSAMPLE
            cv2.fillPoly(canvas, [np.round(pixels).astype(np.int32)], value)
    rounding = 2 * round(0.06 * _OVERSAMPLE * np.sqrt(abs(np.linalg.det(matrix)))) + 1
    for _ in range(2):
        canvas = cv2.blur(canvas, (rounding, rounding),
                          borderType=cv2.BORDER_CONSTANT)
    canvas = np.float32(canvas > 127)
    alpha = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    xy = np.stack(np.meshgrid(np.arange(width), np.arange(height))) + 0.5
    local = np.linalg.inv(matrix) @ (xy.reshape(2, -1) + low[:, None])
    return alpha, local.reshape(2, height, width).astype(np.float32)


@cache
def _unit_area(shape: str) -> float:
    """Area of a shape in its own coordinates."""
    return float(_rasterise(shape, np.eye(2) * 100)[0].sum()) / 1e4


# ---------------------------------------------------------------- textures
def _soft(x: np.ndarray, sharpness: float = 4.0) -> np.ndarray:
    """A soft step: below zero to 0, above zero to 1."""
    return np.clip(x * sharpness + 0.5, 0, 1)


def _wave(x: np.ndarray) -> np.ndarray:
    """A sine with period 1."""
    return np.sin(_TAU * x)


def _cell(x: np.ndarray) -> np.ndarray:
    """Position within unit cells, in [-0.5, 0.5)."""
    return x - np.floor(x) - 0.5


def _fold(x: np.ndarray) -> np.ndarray:
    """A triangle wave with period 1, in [0, 0.5]."""
    return np.abs(_cell(x))


def _bricks(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    row = np.floor(v * 1.6)
    seam = np.maximum(2 * _fold(v * 1.6), 1 - 2 * (0.5 - _fold(u * .8 + row / 2)) * 1.6)
    return _soft(0.78 - seam, 12)


def _scales(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    row = np.floor(2 * v)
    return _soft(np.hypot(_cell(u + row / 2), 2 * v - row) % 0.6 - 0.3, 9)


# Each takes two coordinates, about one period to the unit, polar ones (radius, turn),
# and noise in [0, 1], all (h, w), and gives the share of the first colour in [0, 1].
_TEXTURES: dict[str, Callable[..., np.ndarray]] = {
    'stripes': lambda u, v, n: _soft(_wave(u), 2),
    'dots': lambda u, v, n: _soft(np.hypot(_cell(u), _cell(v)) - 0.3, 12),
    'checks': lambda u, v, n: _soft(_wave(u / 2) * _wave(v / 2), 6),
    'bricks': lambda u, v, n: _bricks(u, v),
    'zigzag': lambda u, v, n: _soft(_wave(v + 1.2 * _fold(u * 0.8)), 2),
    'scales': lambda u, v, n: _scales(u, v),
    'waves': lambda u, v, n: _soft(_wave(v * 1.2 + 0.2 * _wave(u * 0.8)), 2),
    'spots': lambda u, v, n: _soft(0.6 - n, 14),
    'dashes': lambda u, v, n: _soft(
        np.maximum(_fold(v * 1.5) - 0.3, _fold(u + np.floor(v * 1.5) / 2) - 0.38), 14),
    'grid': lambda u, v, n: _soft(0.36 - np.maximum(_fold(u), _fold(v)), 14),
    'marble': lambda u, v, n: 1 - np.abs(_wave(u / 3 + 1.5 * n)) ** 3,
    'plaid': lambda u, v, n: (_soft(_wave(u), 3) + _soft(_wave(v), 3)) / 2,
    'tiles': lambda u, v, n: _soft(_cell(u) - _cell(v), 8),
    'grain': lambda u, v, n: _soft(_wave(u * 1.3 + 2 * n) + _wave(v * 1.3 - 2 * n), 1),
    'bubbles': lambda u, v, n: _soft(
        np.abs(np.hypot(_cell(u), _cell(v)) - 0.28) - 0.09, 14),
    'diamonds': lambda u, v, n: _soft(_wave((u + v) / 2) * _wave((u - v) / 2), 6),
    'knit': lambda u, v, n: _soft(_wave(v * 1.5 - 0.8 * _fold(u)) - 0.5 * _wave(u), 1),
    'spiral': lambda u, v, n: _soft(_wave(u * 0.8 + 2 * v), 2),
    'rays': lambda u, v, n: _soft(_wave(v * 12), 2),
    'rings': lambda u, v, n: _soft(_wave(u * 1.1), 2),
}
_POLAR_TEXTURES = ('spiral', 'rays', 'rings')


def _noise(rng: Generator, height: int, width: int, cells: int, octaves: int = 1
           ) -> np.ndarray:
    """Smooth noise, float32 (height, width), stretched to [0, 1]."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        grid = rng.random((cells << octave,) * 2, np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC
                            ) / 2 ** octave
    return cv2.normalize(total, None, 0, 1, cv2.NORM_MINMAX)


def _texture(rng: Generator, name: str, xy: np.ndarray, periods: float) -> np.ndarray:
    """A texture at coordinates (2, h, w), ``periods`` to the unit: (h, w) in [0, 1]."""
    if name in _POLAR_TEXTURES:
        x, y = xy + np.float32(rng.uniform(-0.08, 0.08, (2, 1, 1)))
        u = np.hypot(x, y) * periods + rng.random()
        v = np.arctan2(y, x) / _TAU + rng.random()
    else:
        turn = rng.normal(0, 0.12)
        cos, sin = periods * math.cos(turn), periods * math.sin(turn)
        u = cos * xy[0] - sin * xy[1] + rng.random()
        v = sin * xy[0] + cos * xy[1] + rng.random()
    return _TEXTURES[name](u, v, _noise(rng, *xy.shape[1:], cells=8))


# ---------------------------------------------------------------- colours and light
def _rgb(h: float, s: float, v: float) -> np.ndarray:
    """A colour as float32 (3, 1, 1), which broadcasts over images (3, h, w)."""
    return np.float32(colorsys.hsv_to_rgb(h % 1, s, v)).reshape(3, 1, 1)


def _jitter(rng: Generator, colour: str) -> np.ndarray:
    """A colour '#rrggbb' moved a little: (3, 1, 1) in [0, 1]."""
    rgb = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    h, s, v = colorsys.rgb_to_hsv(*rgb)
    return _rgb(h + rng.normal(0, 0.012), min(s * rng.uniform(0.85, 1.1), 1),
                min(v * rng.uniform(0.82, 1.08), 1))


def _muted(rng: Generator) -> np.ndarray:
    """A random colour of little saturation: (3, 1, 1) in [0, 1]."""
    return _rgb(rng.random(), rng.uniform(0.08, 0.5), rng.uniform(0.25, 0.8))


def _mix(share: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Blend two colours or images by a share (h, w) of the first: (3, h, w)."""
    return second + share * (first - second)


def _background(rng: Generator, size: int) -> np.ndarray:
    """A messy carpet with patches, smears and threads: float32 (3, size, size)."""
    image = _mix(_noise(rng, size, size, 4, octaves=4), _muted(rng), _muted(rng))
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    xy = np.stack(np.meshgrid(axis, axis))
    for kind in rng.integers(0, 3, rng.integers(5, 10)):
        if kind == 0:  # a smear
            region = _soft(_noise(rng, size, size, 4, octaves=2) - 0.65, 20)
        else:
            region = np.zeros((size, size), np.uint8)
            points = rng.normal(rng.uniform(0, size, 2), size * 0.22, (4, 2))
            points = [np.int32(points)]
            if kind == 1:  # a scrap
                cv2.fillPoly(region, points, 255, cv2.LINE_AA)
            else:  # a thread
                thickness = int(rng.integers(1, max(2, size // 28) + 1))
                cv2.polylines(region, points, False, 255, thickness, cv2.LINE_AA)
            region = cv2.GaussianBlur(region, (0, 0), 0.8).astype(np.float32) / 255
        pattern = _texture(rng, str(rng.choice(list(_TEXTURES))), xy, rng.uniform(3, 9))
        patch = _mix(pattern, _muted(rng), _muted(rng))
        image = _mix(region * rng.uniform(0.3, 0.75), patch, image)
    fibres = cv2.GaussianBlur(rng.standard_normal((size, size), np.float32), (0, 0),
                              rng.uniform(0.5, 2), sigmaY=rng.uniform(0.5, 2))
    return image * (1 + 0.12 * fibres / fibres.std())


def _shade(rgb: np.ndarray, alpha: np.ndarray, light: np.ndarray, bevel: float
           ) -> np.ndarray:
    """Light a flat picture (3, h, w) as a rounded body with the outline ``alpha``.

    ``light`` (2,) points from the light across the picture, with length at most 1;
    ``bevel`` is the width of the rounded rim in pixels.
    """
    inside = cv2.copyMakeBorder(np.uint8(alpha >= 0.5), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)[1:-1, 1:-1]
    height = bevel * np.sqrt(1 - (1 - np.minimum(depth / bevel, 1)) ** 2)
    height = cv2.GaussianBlur(height, (0, 0), max(0.15 * bevel, 0.6))
    slope = (cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=1 / 8) * light[0]
             + cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=1 / 8) * light[1])
    gloss = 0.35 * np.exp(-((slope + 0.55) / 0.16) ** 2)
    return rgb * np.clip(1 - 0.45 * slope, 0.35, 1.4) + gloss


# ---------------------------------------------------------------- images
def _place(rng: Generator, number: int, low: float, high: float, size: int,
           mask: np.ndarray
           ) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray, float] | None:
    """Find a pose for an object of a class on the free part of a mask.

    Args:
        number: The class, 1..20.
        low, high: Bounds of its area, as shares of the image.
        mask: uint8 (size, size), not zero where an object lies already.

    Returns:
        (window, coverage, shape coordinates, pixels to the unit), or None where
        nothing was free.
    """
    shape = _CLASSES[number - 1][1]
    taken = cv2.dilate(mask, np.ones((5, 5), np.uint8)) > 0
    for room in np.linspace(1, 0.1, 16):
        area = rng.uniform(low, low + (high - low) * room) * size ** 2
        scale = math.sqrt(area / _unit_area(shape))
        turn, aspect = math.radians(rng.uniform(-70, 70)), rng.uniform(0.9, 1.12)
        cos, sin = math.cos(turn), math.sin(turn)
        matrix = scale * np.array([[cos, -sin], [sin, cos]]) @ np.diag(
            [aspect * rng.choice((-1, 1)), 1 / aspect])
        alpha, local = _rasterise(shape, matrix)
        height, width = alpha.shape
        covered = int((alpha >= 0.5).sum())
        if max(height, width) > size or not low <= covered / size ** 2 <= high:
            continue
        for _ in range(12):
            top = rng.integers(0, size - height + 1)
            left = rng.integers(0, size - width + 1)
            window = np.s_[top:top + height, left:left + width]
            if not taken[window][alpha > 0].any():
                return window, alpha, local, scale
    return None


def _draw_image(rng: Generator, main: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw one image about a class.

    Args:
        rng: The only source of randomness.
        main: The class of the main object, 1..20; others are of the same fold.
        size: Height and width in pixels.

    Returns:
        The image, uint8 RGB (size, size, 3), and the mask, uint8 (size, size), with
        0 for the background and 1..20 for the classes.

    Raises:
        ValueError: The image is too small to hold the main object.
    """
    first = main - (main - 1) % _PER_FOLD
    others = [n for n in range(first, first + _PER_FOLD) if n != main]
    image = _background(rng, size)
    mask = np.zeros((size, size), np.uint8)
    direction = rng.uniform(0, _TAU)
    light = np.float32([math.cos(direction), math.sin(direction)]) * rng.uniform(0.6, 1)

    plan = [(main, 0.10, 0.30)]
    if rng.random() < 0.25:
        plan.append((int(rng.choice(others)), 0.04, 0.10))
    if rng.random() < 0.5:
        plan.append((main, _MIN_AREA, 0.08))
    for rank, (number, low, high) in enumerate(plan):
        pose = _place(rng, number, low, high, size, mask)
        if pose is None and rank == 0:
            raise ValueError(f'cannot draw a {DEMO_CLASSES[number - 1]} at size {size}')
        if pose is None:
            continue
        window, alpha, local, scale = pose
        _, _, texture, colour, colour2 = _CLASSES[number - 1]
        share = _texture(rng, texture, local, rng.uniform(2.2, 3.6))
        toy = _mix(share, _jitter(rng, colour), _jitter(rng, colour2))
        toy *= 0.875 + 0.25 * _noise(rng, *alpha.shape, cells=4, octaves=3)
        toy = _shade(toy, alpha, light, bevel=max(2.0, 0.16 * scale))

        shadow = np.zeros((size, size), np.float32)
        shadow[window] = alpha
        shift = np.float32(np.c_[np.eye(2), light * scale * rng.uniform(0.08, 0.18)])
        shadow = cv2.GaussianBlur(cv2.warpAffine(shadow, shift, (size, size)), (0, 0),
                                  scale * rng.uniform(0.04, 0.09))
        image *= 1 - rng.uniform(0.45, 0.7) * shadow
        view = image[:, window[0], window[1]]
        view[:] = _mix(alpha, toy, view)
        mask[window][alpha >= 0.5] = number

    axis = np.linspace(-1, 1, size, dtype=np.float32)
    lamp = 1 - 0.2 * (axis * light[0] + axis[:, None] * light[1])
    tint = np.float32(rng.uniform(0.94, 1.06, (3, 1, 1)))
    image = np.ascontiguousarray((image * lamp * tint).transpose(1, 2, 0))
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.7))
    image += rng.uniform(0.006, 0.02) * rng.standard_normal(image.shape, np.float32)
    return np.uint8(np.clip(image, 0, 1) * 255 + 0.5), mask


def _palette() -> list[int]:
    """The colours of Pascal VOC masks, 256 x RGB in one list."""
    def channel(index: int, first: int) -> int:
        return sum((index >> (3 * bit + first) & 1) << (7 - bit) for bit in range(3))
    return [channel(index, first) for index in range(256) for first in range(3)]


def make_demo_shapes(root: str | Path, seed: int = 0, train_images: int = 80,
                     val_images: int = 50, size: int = 256) -> None:
    """Write the dataset.

    Below ``root`` there are ``VOCdevkit/VOC2012/JPEGImages/<name>.jpg``,
    ``VOCdevkit/VOC2012/SegmentationClassAug/<name>.png`` (palette PNGs, 0 for the
    background, 1..20 for the classes) and ``splits/demo/{trn,val}/fold{0..3}.txt``
    with a sorted line ``<name>__<class>`` for each class in each image, the class as
    two digits. An image shows classes of one fold only; fold f has the classes
    5f+1..5f+5. The same arguments give the same files. They are made in a folder
    beside ``root`` which is renamed at the end, so ``root`` is never incomplete.

    Args:
        root: The folder to make; its parents are made as needed.
        seed: At least 0.
        train_images: Images to a fold in trn, in turns about each of its classes.
        val_images: The same for val.
        size: Height and width of the images in pixels.

    Raises:
        FileExistsError: ``root`` exists already.
        ValueError: ``seed`` is negative, or ``size`` too small to draw anything.
    """
    root = Path(root)
    if root.exists():
        raise FileExistsError(f'{root} exists already: remove it or name another')
    root.parent.mkdir(parents=True, exist_ok=True)
    palette = _palette()
    with tempfile.TemporaryDirectory(prefix=f'.{root.name}-', dir=root.parent) as work:
        stage = Path(work, root.name)
        images = stage / 'VOCdevkit' / 'VOC2012' / 'JPEGImages'
        masks = images.with_name('SegmentationClassAug')
        images.mkdir(parents=True)
        masks.mkdir()
        for split, count in zip(_SPLITS, (train_images, val_images)):
            lists = stage / 'splits' / 'demo' / split
            lists.mkdir(parents=True)
            for fold in range(_FOLDS):
                lines = []
                for index in range(count):
                    rng = np.random.default_rng(
                        [seed, fold, _SPLITS.index(split), index])
                    main = _PER_FOLD * fold + index % _PER_FOLD + 1
                    image, mask = _draw_image(rng, main, size)
                    name = f'fold{fold}_{split}_{index:04d}'
                    Image.fromarray(image).save(images / f'{name}.jpg', quality=92)
                    label = Image.fromarray(mask)
                    label.putpalette(palette)
                    label.save(masks / f'{name}.png')
                    lines += [f'{name}__{n:02d}\n' for n in np.unique(mask[mask > 0])]
                (lists / f'fold{fold}.txt').write_text(''.join(sorted(lines)))
        stage.rename(root)
