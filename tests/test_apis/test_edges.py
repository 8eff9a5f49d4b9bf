"""refine_edges against a slow loop and on a photograph; predictions made with it."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmwsfs.apis import FewShotInferencer, label_map
from mmwsfs.apis.edges import refine_edges


def slow(image: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """The same for one class and an image of at most 256 pixels, pixel by pixel."""
    height, width = probs.shape
    colours = image.astype(np.float64)

    def places(y: int, x: int) -> list[tuple[int, int]]:
        return [(min(max(y + dy * d, 0), height - 1),
                 min(max(x + dx * d, 0), width - 1))
                for d in (1, 2, 4, 8) for dy in (-1, 0, 1) for dx in (-1, 0, 1)
                if (dy, dx) != (0, 0)]

    for _ in range(10):
        refined = np.empty_like(probs)
        for y in range(height):
            for x in range(width):
                around = np.array([colours[place] for place in places(y, x)])
                spread = 0.3 * around.std(0, ddof=1) + 1e-6
                likeness = np.exp(
                    -(((around - colours[y, x]) / spread) ** 2).mean(1))
                there = np.array([probs[place] for place in places(y, x)])
                refined[y, x] = (likeness * there).sum() / likeness.sum()
        probs = refined
    return probs


def test_equals_the_slow_loop() -> None:
    """Of two classes at once, each on its own; rims and a flat area among it."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (13, 18, 3), np.uint8)
    image[:, :9] = (200, 90, 30)
    probs = rng.random((2, 13, 18), np.float32)
    given = probs.copy()
    found = refine_edges(image, probs)
    assert found.dtype == np.float32 and np.array_equal(probs, given)
    for one, before in zip(found, probs):
        np.testing.assert_allclose(
            one, slow(image, before.astype(np.float64)), rtol=0, atol=1e-4)


@pytest.mark.parametrize('size', [(1, 1), (1, 7), (5, 2), (3, 2000), (300, 400)])
def test_any_size_and_range(size: tuple[int, int]) -> None:
    """From a pixel to more than the working size: in 0..1, and a constant stays."""
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (*size, 3), np.uint8)
    found = refine_edges(image, rng.integers(0, 2, (3, *size)).astype(np.float32))
    assert found.shape == (3, *size) and found.dtype == np.float32
    assert found.min() >= 0 and found.max() <= 1
    for value in (0, 0.3, 1):
        constant = np.full((1, *size), value, np.float32)
        np.testing.assert_allclose(
            refine_edges(image, constant), constant, rtol=0, atol=1e-5)


def test_probs_of_another_image() -> None:
    with pytest.raises(ValueError, match=r'image is 4x6 pixels, .*\(1, 6, 4\)'):
        refine_edges(np.zeros((4, 6, 3), np.uint8), np.zeros((1, 6, 4), np.float32))


def rim(mask: np.ndarray) -> np.ndarray:
    """Pixels of a mask within 10 pixels of its edge."""
    return mask & ~cv2.erode(
        mask.astype(np.uint8), np.ones((21, 21), np.uint8)).astype(bool)


def test_a_photographs_edges_are_found_again(shared_data: Path) -> None:
    """True masks of which each of 16x16 patches kept its majority come nearer to what
    they were. (Those whose patches kept the exact share are good already, and lose.)"""
    voc = shared_data / 'VOCdevkit/VOC2012'
    before, after = [], []
    for name in ('2007_000738', '2011_000276', '2011_001081'):
        image = np.asarray(Image.open(voc / f'JPEGImages/{name}.jpg'))
        labels = np.asarray(Image.open(voc / f'SegmentationClassAug/{name}.png'))
        truth, void = labels == 1, labels == 255
        share = cv2.resize(
            truth.astype(np.float32), (16, 16), interpolation=cv2.INTER_AREA)
        majority = (share > 0.5).astype(np.float32)
        probs = cv2.resize(
            majority, truth.shape[::-1], interpolation=cv2.INTER_LINEAR)[None]
        for row, given in ((before, probs), (after, refine_edges(image, probs))):
            found = given[0] >= 0.5
            row.append([
                (one & other & ~void).sum() / ((one | other) & ~void).sum()
                for one, other in ((found, truth), (rim(found), rim(truth)))])
    gain = np.array(after) - before  # IoU and boundary IoU of every photograph
    assert (gain[:, 1] > 0).all() and (gain.mean(0) > (0.01, 0.05)).all(), gain


def test_prediction_with_edges(
        tiny_config: Config, tiny_checkpoint: Path, tiny_voc: Path) -> None:
    """Probabilities of a prediction are refined, and the label map is that of them,
    whatever the threshold; presence is the same."""
    inferencer = FewShotInferencer(tiny_config, tiny_checkpoint, 'cpu')
    images = sorted((tiny_voc / 'VOCdevkit/VOC2012/JPEGImages').glob('val_*.jpg'))
    inferencer.set_supports({'cat': images[:2], 'dog': images[4]})
    moved = 0
    for query in images[8:14]:
        plain, = inferencer(query)
        for settings in ({}, dict(threshold=0.3), dict(absent_pixels=True)):
            found, = inferencer(query, edges=True, **settings)
            unrefined, = inferencer(query, **settings)
            assert found['presence'] == plain['presence']
            assert found['present'] == unrefined['present']
            image = np.asarray(Image.open(query).convert('RGB'))
            assert np.array_equal(
                found['probs'], refine_edges(image, unrefined['probs']))
            assert np.array_equal(found['label_map'], label_map(
                found['probs'], found['presence'], **settings))
            moved += int((found['label_map'] != unrefined['label_map']).any())
    assert moved
