"""What a drawing means: its strokes, what they enclose, and what is alike."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mmwsfs.app.drawing import DrawnArea, drawn_area, limit, stretch
from mmwsfs.app.finder import Finder


def layer(strokes: np.ndarray) -> np.ndarray:
    """An editor's layer."""
    return np.dstack([np.zeros((*strokes.shape, 3), np.uint8), strokes * np.uint8(255)])


def test_enclosed_is_filled() -> None:
    """A box is a line around something; a stroke is not, and no stroke is nothing."""
    box = np.zeros((40, 60), np.uint8)
    cv2.rectangle(box, (10, 5), (40, 30), 1, 2)
    area = drawn_area([layer(box)])
    assert area is not None and area.encloses
    assert area.filled[15, 20] and not area.filled[2, 2]
    stroke = np.zeros((40, 60), np.uint8)
    cv2.line(stroke, (0, 0), (50, 30), 1, 2)
    area = drawn_area([layer(stroke)])
    assert area is not None and not area.encloses
    assert (area.filled == area.strokes).all()
    assert drawn_area([layer(np.zeros((4, 4)))]) is None
    assert drawn_area([]) is None


def test_limit() -> None:
    """A stroke keeps the region it touches, a box what is inside it."""
    alike = np.zeros((20, 40), bool)
    alike[5:15, 2:10] = alike[5:15, 20:30] = True
    strokes = np.zeros_like(alike)
    strokes[8:10, 22:24] = True
    kept = limit(alike, DrawnArea(strokes, strokes))
    assert kept[:, 20:30].sum() == 100 and kept.sum() == 100
    rim, filled = np.zeros_like(alike), np.zeros_like(alike)
    filled[2:18, 1:15] = rim[2:18, 1:15] = True
    rim[3:17, 2:14] = False
    assert (limit(alike, DrawnArea(rim, filled)) == (alike & filled)).all()
    assert (limit(alike & False, DrawnArea(rim, filled)) == filled).all()


def test_stretch() -> None:
    mask = np.array([[True, False]])
    assert stretch(mask, (2, 4)).tolist() == [[True, True, False, False]] * 2


def test_a_scribble_beats_the_pseudo_mask(
        photo_model, shared_data: Path) -> None:
    """On photographs a stroke inside the thing gives a better mask than none."""
    voc = shared_data / 'VOCdevkit/VOC2012'
    finder, gains = Finder(photo_model), []
    for path in sorted((voc / 'SegmentationClassAug').glob('*.png')):
        image_file = voc / f'JPEGImages/{path.stem}.jpg'
        labels = np.asarray(Image.open(path))
        found = np.unique(labels[(labels > 0) & (labels < 255)])
        if len(found) != 1 or not image_file.exists():
            continue
        truth = (labels == found[0]) & (labels != 255)
        if not 0.05 < truth.mean() < 0.5:
            continue
        image = np.asarray(Image.open(image_file))
        photo_model.set_supports({'it': [image]}, channel_order='rgb')
        pseudo = stretch(
            photo_model.supports.masks[0][0].numpy(), truth.shape)
        distance = cv2.distanceTransform(
            np.pad(truth, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
        y, x = np.unravel_index(distance.argmax(), truth.shape)
        stroke = np.zeros(truth.shape, np.uint8)
        reach = int(distance.max() * 0.8)
        cv2.line(stroke, (int(x) - reach, int(y)), (int(x) + reach, int(y)), 1, 6)
        area = drawn_area([layer(stroke)])
        assert area is not None
        grown = finder.grow(image, area)
        scores = [(mask & truth).sum() / (mask | truth).sum()
                  for mask in (grown, pseudo)]
        gains.append(scores[0] - scores[1])
        if len(gains) == 12:
            break
    assert np.mean(gains) > 0.05
