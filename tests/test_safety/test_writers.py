"""What is written stays in its folder, whatever images and classes are named."""
from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmwsfs.apis.prediction_writer import PredictionWriter
from mmwsfs.utils.file_names import file_stem
from mmwsfs.visualization.episode_visualizer import titled

NAMES = [
    '../x', '/x', '..', '.', '', 'a\nb', 'a\0b', '\x1b[31m', 'x' * 5000, 'ü' * 300,
    '\udcff' * 250, '~', '-rf', 'a\u2028b', 'CON', ' ']
RESULT = dict(
    presence=dict(a=0.5), present=['a'], label_map=np.ones((4, 4), np.uint8))


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob('*')
            if not path.is_dir()}


def write(folder: Path, names: list[str], classes: tuple[str, ...] = ('a', )) -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    writer = PredictionWriter(
        folder, classes, [[picture]] * len(classes),
        [torch.ones(1, 4, 4, dtype=torch.bool)] * len(classes))
    for name in names:
        writer.write(picture, dict(RESULT, image=name))
    writer.close()


def test_names_of_images(tmp_path: Path) -> None:
    """Every image has its two files, in the folder, and none has another's."""
    images = [*NAMES, *[f'{name}.jpg' for name in NAMES]]
    write(tmp_path / 'in/out', images)
    assert list(tmp_path.iterdir()) == [tmp_path / 'in']
    assert list((tmp_path / 'in').iterdir()) == [tmp_path / 'in/out']
    content = json.loads((tmp_path / 'in/out/predictions.json').read_text())
    assert [entry['image'] for entry in content['predictions']] == images
    expected = {entry[kind] for entry in content['predictions']
                for kind in ('label_map', 'picture')}
    assert len(expected) == 2 * len(images)
    assert files(tmp_path / 'in/out') == {*expected, 'predictions.json'}
    for name in expected:
        assert len(Path(name).parts) == 2
        Image.open(tmp_path / 'in/out' / name).load()


@pytest.mark.parametrize('name', NAMES)
def test_names_of_classes(tmp_path: Path, name: str) -> None:
    """They are drawn and listed, and name no file."""
    write(tmp_path / 'out', ['x.jpg'], (name, ))
    assert files(tmp_path) == {
        'out/pred/x.png', 'out/vis/x.png', 'out/predictions.json'}
    content = json.loads((tmp_path / 'out/predictions.json').read_text())
    assert content['classes'] == [name]


def test_links_are_replaced(tmp_path: Path) -> None:
    """A link in the folder leads to somebody else's file, which stays."""
    (tmp_path / 'mine').write_text('mine')
    for kind in ('vis', 'pred'):
        (tmp_path / 'out' / kind).mkdir(parents=True)
        (tmp_path / 'out' / kind / 'x.png').symlink_to(tmp_path / 'mine')
    (tmp_path / 'out/predictions.json').symlink_to(tmp_path / 'mine')
    write(tmp_path / 'out', ['x.jpg'])
    assert (tmp_path / 'mine').read_text() == 'mine'
    assert not any(path.is_symlink() for path in (tmp_path / 'out').rglob('*'))


@pytest.mark.parametrize('name', NAMES)
def test_stems(name: str) -> None:
    """Of one part, whole characters, and short enough."""
    stem = file_stem(name)
    assert stem and '/' not in stem and '\0' not in stem
    assert len(os.fsencode(stem)) <= 200
    if name == 'ü' * 300:
        assert stem == 'ü' * 100


def test_titles_of_any_length() -> None:
    """A title of a million letters is cut, and is no million attempts to fit it."""
    picture = titled(np.zeros((4, 4, 3), np.uint8), 'i' * 10**6, 50)
    assert picture.shape == (68, 50, 3) and picture[:18].min() < 255
