"""draw_overlay, draw_cutout: a label map on its photograph, at its own size."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmwsfs.visualization import WAY_COLOURS, draw_cutout, draw_overlay


@pytest.fixture
def photo(shared_data: Path) -> np.ndarray:
    path = sorted((shared_data / 'VOCdevkit/VOC2012/JPEGImages').glob('*.jpg'))[0]
    return np.array(Image.open(path).convert('RGB'))


def regions(photo: np.ndarray) -> np.ndarray:
    """Two ways and void."""
    labels = np.zeros(photo.shape[:2], np.uint8)
    labels[20:120, 20:120] = 1
    labels[20:120, 200:300] = 2
    labels[200:260, 20:120] = 255
    return labels


@pytest.mark.parametrize('opacity', [0, 0.3, 1])
def test_tint(photo: np.ndarray, opacity: float) -> None:
    """Each region is blended with its colour, the rest and the photograph stay."""
    before, labels = photo.copy(), regions(photo)
    found = draw_overlay(photo, labels, opacity=opacity, outline=False)
    assert np.array_equal(photo, before)
    assert found.shape == photo.shape and found.dtype == np.uint8
    assert np.array_equal(found[labels == 0], photo[labels == 0])
    for label, colour in ((1, WAY_COLOURS[0]), (2, WAY_COLOURS[1]), (255, 128)):
        expected = (1 - opacity) * photo[labels == label] + opacity * colour
        np.testing.assert_allclose(found[labels == label], expected, atol=0.51)


@pytest.mark.parametrize('ground', [0, 255])
def test_outline_is_seen_on_light_and_dark(ground: int) -> None:
    """Colour and white, and wider on a larger picture."""
    widths = []
    for side in (400, 2000):
        labels = np.zeros((side, side), np.uint8)
        labels[side // 4:-side // 4, side // 4:-side // 4] = 2
        plain = np.full((side, side, 3), ground, np.uint8)
        row = draw_overlay(plain, labels, opacity=0)[side // 2, :side // 2].astype(int)
        colour = (np.abs(row - WAY_COLOURS[1]) < 30).all(axis=1)
        changed = (row != ground).any(axis=1) | colour
        assert colour.any()
        if ground == 0:
            assert (row == 255).all(axis=1).sum() >= 2  # beside it
        assert np.ptp(np.flatnonzero(changed)) < side / 20
        widths.append(colour.sum())
    assert widths[1] > 3 * widths[0]


def test_palette(photo: np.ndarray) -> None:
    """Given colours repeat; a list of lists does."""
    found = draw_overlay(photo, regions(photo), [[1, 2, 3]], 1, outline=False)
    assert (found[regions(photo) == 2] == [1, 2, 3]).all()


def test_a_label_map_of_another_size(photo: np.ndarray) -> None:
    """That of a photograph is drawn on its thumbnail."""
    labels = regions(photo)
    thumbnail = np.ascontiguousarray(photo[::2, ::2])
    found = draw_overlay(thumbnail, labels, opacity=1, outline=False)
    assert (found[30, 30] == WAY_COLOURS[0]).all()
    assert np.array_equal(found[0], thumbnail[0])


@pytest.mark.parametrize(('settings', 'message'), [
    (dict(opacity=1.5), r'opacity=1\.5: give 0 '),
    (dict(palette=[]), 'a palette must be a list of colours'),
    (dict(palette=[(1, 2)]), r'each 0..255, but is \[\(1, 2\)\]'),
    (dict(palette=[(1, 2, 3), (1, 2)]), 'a palette must be a list of colours'),
    (dict(palette=[(1, 2, 300)]), 'a palette must be a list of colours'),
    (dict(palette=[(0.5, 0.5, 0)]), 'a palette must be a list of colours'),
    (dict(palette='voc'), "but is 'voc'"),
])
def test_bad_settings(photo: np.ndarray, settings: dict, message: str) -> None:
    """One sentence says what is right."""
    with pytest.raises(ValueError, match=message):
        draw_overlay(photo, regions(photo), **settings)


def test_cutout(photo: np.ndarray) -> None:
    """What is marked stays bit for bit; nothing of the rest is hidden in the file."""
    mask = regions(photo) == 1
    found = draw_cutout(photo[:, ::-1][:, ::-1], mask)
    assert found.shape == (*photo.shape[:2], 4) and found.dtype == np.uint8
    assert np.array_equal(found[mask][:, :3], photo[mask])
    assert (found[mask][:, 3] == 255).all() and not found[~mask].any()
