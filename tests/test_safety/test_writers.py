"""What is written stays in its folder, whatever images and classes are named."""
from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmwsfs.apis import prediction_writer
from mmwsfs.apis.exports import open_exports
from mmwsfs.apis.output.names import class_folders
from mmwsfs.apis.prediction_writer import PredictionWriter
from mmwsfs.utils.file_names import file_stem
from mmwsfs.visualization.episode_visualizer import titled

NAMES = [
    '../x', '/x', '..', '.', '', 'a\nb', 'a\0b', '\x1b[31m', 'x' * 5000, 'ü' * 300,
    '\udcff' * 250, '~', '-rf', 'a\u2028b', 'CON', ' ']


TABLES = ('predictions.json', 'predictions.csv')


@pytest.fixture(autouse=True)
def no_gallery(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has tests of its own."""
    monkeypatch.setattr(prediction_writer, 'write_gallery', lambda out_dir: out_dir)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob('*')
            if not path.is_dir()}


def write(folder: Path, names: list[str], classes: tuple[str, ...] = ('a', )) -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    writer = PredictionWriter(
        folder, classes, [[picture]] * len(classes),
        [torch.ones(1, 4, 4, dtype=torch.bool)] * len(classes))
    presence = dict.fromkeys(classes, 0.5)
    for name in names:
        writer.write(picture, dict(
            image=name, presence=presence, present=list(classes),
            label_map=np.ones((4, 4), np.uint8)))
    writer.close()


def test_names_of_images(tmp_path: Path) -> None:
    """Every image has its three files, in the folder, and none has another's."""
    images = [*NAMES, *[f'{name}.jpg' for name in NAMES]]
    write(tmp_path / 'in/out', images)
    assert list(tmp_path.iterdir()) == [tmp_path / 'in']
    assert list((tmp_path / 'in').iterdir()) == [tmp_path / 'in/out']
    content = json.loads((tmp_path / 'in/out/predictions.json').read_text())
    assert [entry['image'] for entry in content['predictions']] == images
    expected = {name for entry in content['predictions'] for name in (
        entry['label_map'], entry['picture'], entry['cutouts']['a'])}
    assert len(expected) == 3 * len(images)
    assert files(tmp_path / 'in/out') == {*expected, 'supports/a_1.jpg', *TABLES}
    for name in expected:
        assert len(Path(name).parts) == 2
        Image.open(tmp_path / 'in/out' / name).load()


@pytest.mark.parametrize('name', NAMES)
def test_names_of_classes(tmp_path: Path, name: str) -> None:
    """In names of files they are of one part that any system takes."""
    write(tmp_path / 'out', ['x.jpg'], (name, ))
    part = class_folders([name])[name]
    assert files(tmp_path / 'out') == {
        'pred/x.png', 'vis/x.jpg', f'cutouts/x_{part}.png', f'supports/{part}_1.jpg',
        *TABLES}
    assert len(os.fsencode(part)) <= 60 and not set('/<>:"|?*\\') & set(part)
    assert part == part.rstrip('. ') and part
    content = json.loads((tmp_path / 'out/predictions.json').read_text())
    assert content['classes'] == [name]


@pytest.mark.parametrize('export', ['yolo', 'labelme', 'png', 'sorted'])
def test_exports_stay_in_their_folder(tmp_path: Path, export: str) -> None:
    """Whatever images and classes are named; none has another's file."""
    for number, name in enumerate(names := ['..', '...', 'a\nb', '~', '-rf']):
        Image.new('RGB', (4, 4), (number, 0, 0)).save(tmp_path / f'{name}.jpg', 'JPEG')
    queries = [str(tmp_path / f'{name}.jpg') for name in names]
    with open_exports(
            tmp_path / 'out', [export] * (export != 'sorted'), NAMES, queries,
            tmp_path / 'out/sorted' if export == 'sorted' else None) as exports:
        for query in queries:
            exports.add(dict(
                image=query, presence=dict.fromkeys(NAMES, 0.5), present=NAMES,
                label_map=np.ones((4, 4), np.uint8)))
    assert {path.name for path in tmp_path.iterdir()} == {
        'out', *(f'{name}.jpg' for name in names)}
    expected = {'yolo': 2 * len(names) + 1, 'labelme': len(names)}.get(
        export, len(NAMES) * len(names))
    assert [path.name for path in (tmp_path / 'out').iterdir()] == [export]
    assert len(files(tmp_path / 'out' / export)) == expected


def test_links_are_replaced(tmp_path: Path) -> None:
    """A link in the folder leads to somebody else's file, which stays."""
    (tmp_path / 'mine').write_text('mine')
    write(tmp_path / 'out', ['x.jpg'])
    written = files(tmp_path / 'out')
    for name in written:
        (tmp_path / 'out' / name).unlink()
        (tmp_path / 'out' / name).symlink_to(tmp_path / 'mine')
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
