"""A folder of predictions: its pictures, numbers and tables."""
from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmwsfs.apis.output.csv_table import COLUMNS
from mmwsfs.apis.output.names import ImageStems, UniqueNames, common_folder
from mmwsfs.apis.prediction_writer import PredictionWriter

CLASSES = ['cat', 'dog']


@pytest.fixture
def image() -> np.ndarray:
    """(60, 80, 3), BGR; blue from left to right."""
    picture = np.full((60, 80, 3), 90, np.uint8)
    picture[..., 0] = np.arange(80) * 3
    return picture


def result(image: str | None = 'photos/trip/x.jpg') -> dict:
    labels = np.zeros((60, 80), np.uint8)
    labels[10:30, 20:60] = 1
    labels[15:20, 30:40] = 0
    return dict(image=image, presence=dict(cat=0.9, dog=0.1), present=['cat'],
                label_map=labels)


def make_writer(out_dir: Path, **settings) -> PredictionWriter:
    picture = np.full((30, 40, 3), 200, np.uint8)
    mask = torch.zeros(1, 16, 16, dtype=torch.bool)
    mask[:, 4:12, 4:12] = True
    return PredictionWriter(
        out_dir, CLASSES, [[picture]] * 2, [mask] * 2, **settings)


def test_predictions_json(image: np.ndarray, tmp_path: Path) -> None:
    """All that its definition names, and every file is there."""
    writer = make_writer(
        tmp_path, model='cst-photos', threshold=0.25, absent_pixels=True,
        edges=True, queries=['photos/a.jpg', 'photos/trip/x.jpg'],
        support_images=dict(cat=['a.jpg'], dog=[None]), negatives=dict(cat=['n.jpg']))
    writer.write(image, result())
    writer.close()
    content = json.loads((tmp_path / 'predictions.json').read_text())
    entry, = content.pop('predictions')
    assert content == dict(
        format=1, model='cst-photos', threshold=0.25, absent_pixels=True,
        edges=True, classes=CLASSES,
        colours=dict(cat=[230, 60, 60], dog=[60, 130, 240]),
        supports=dict(
            cat=[dict(image='a.jpg', picture='supports/cat_1.jpg')],
            dog=[dict(image=None, picture='supports/dog_1.jpg')]),
        negatives=dict(cat=['n.jpg']))
    assert entry == dict(
        image='photos/trip/x.jpg', size=[80, 60], picture='vis/trip/x.jpg',
        label_map='pred/trip/x.png', cutouts=dict(cat='cutouts/trip/x_cat.png'),
        presence=dict(cat=0.9, dog=0.1), present=['cat'],
        areas=dict(cat=750 / 4800, dog=0.0), boxes=dict(cat=[20, 10, 40, 20]))
    for name in (entry['picture'], entry['label_map'], entry['cutouts']['cat'],
                 'supports/cat_1.jpg', 'supports/dog_1.jpg', 'predictions.csv'):
        assert (tmp_path / name).is_file()


def test_pictures(image: np.ndarray, tmp_path: Path) -> None:
    """Of the photograph's size and colours; a cut-out has its box, and holes."""
    writer = make_writer(tmp_path, palette=[(1, 2, 3), (4, 5, 6)], opacity=0)
    writer.write(image, result('x.jpg'))
    with Image.open(tmp_path / 'vis/x.jpg') as picture:
        assert picture.size == (80, 60)
        corner = np.array(picture)[40:, 60:].astype(int)
        assert np.abs(corner - image[40:, 60:, ::-1]).max() < 12  # of JPEG
    with Image.open(tmp_path / 'pred/x.png') as label_map:
        assert label_map.mode == 'P'
        assert label_map.getpalette()[:9] == [0, 0, 0, 1, 2, 3, 4, 5, 6]
        assert np.array_equal(label_map, result()['label_map'])
    with Image.open(tmp_path / 'cutouts/x_cat.png') as cutout:
        assert cutout.mode == 'RGBA' and cutout.size == (40, 20)
        pixels = np.array(cutout)
    inside = result()['label_map'][10:30, 20:60] == 1
    assert np.array_equal(pixels[..., 3] == 255, inside)
    assert np.array_equal(pixels[inside][:, :3], image[10:30, 20:60][inside][:, ::-1])
    assert not pixels[~inside].any()
    assert not list((tmp_path / 'cutouts').glob('*dog*'))


def test_supports_show_the_mask(image: np.ndarray, tmp_path: Path) -> None:
    """In the colour of the class; outside it the picture is as it was."""
    make_writer(tmp_path)
    with Image.open(tmp_path / 'supports/cat_1.jpg') as picture:
        red, green, blue = np.array(picture)[15, 20].astype(int)
        assert red > blue + 30 and picture.size == (40, 30)
    with Image.open(tmp_path / 'supports/dog_1.jpg') as picture:
        red, green, blue = np.array(picture)[15, 20].astype(int)
        assert blue > red + 30
        assert np.abs(np.array(picture)[1, 1].astype(int) - 200).max() < 10


def test_csv(image: np.ndarray, tmp_path: Path) -> None:
    """A row a photograph and class; no box where there are no pixels."""
    writer = make_writer(tmp_path)
    writer.write(image, result('a, "b".jpg'))
    writer.write(image, result(None))
    writer.close()
    with (tmp_path / 'predictions.csv').open(newline='') as file:
        header, *rows = csv.reader(file)
    assert header == list(COLUMNS)
    assert rows == [
        [name, *cells] for name in ('a, "b".jpg', '') for cells in (
            ['cat', '0.900000', '1', '0.156250', '20', '10', '40', '20'],
            ['dog', '0.100000', '0', '0.000000', '', '', '', ''])]


def test_equal_names(image: np.ndarray, tmp_path: Path) -> None:
    """Twins in one folder, in upper and lower case, and beside a class's name."""
    queries = ['p/x.jpg', 'p/x.png', 'p/X.bmp', 'p/x_cat.jpg', 'q/x.jpg', None, None]
    writer = make_writer(tmp_path, queries=[query for query in queries if query])
    for query in queries:
        writer.write(image, result(query))
    writer.close()
    entries = json.loads((tmp_path / 'predictions.json').read_text())['predictions']
    assert [entry['label_map'] for entry in entries] == [
        f'pred/{stem}.png' for stem in (
            'p/x', 'p/x_2', 'p/X_3', 'p/x_cat', 'q/x', 'query', 'query_2')]
    for kind in ('vis', 'pred', 'cutouts'):
        files = [p for p in (tmp_path / kind).rglob('*') if p.is_file()]
        assert len(files) == len(queries)


def test_a_disk_that_refuses(image: np.ndarray, tmp_path: Path) -> None:
    """The error names the file."""
    writer = make_writer(tmp_path)
    (tmp_path / 'pred/x.png').mkdir()
    with pytest.raises(OSError, match=r"pred/x\.png'"):
        writer.write(image, result('x.jpg'))


def test_folders_are_mirrored(tmp_path: Path) -> None:
    """Below what the photographs have in common; frames of videos below the results."""
    photos, out = tmp_path / 'photos', tmp_path / 'out'
    queries = [photos / 'a.jpg', photos / 'trip/b.jpg', out / 'frames/v/v_1.jpg']
    assert common_folder(queries) == tmp_path
    stems = ImageStems(queries, out)
    assert [stems(query) for query in queries] == ['a', 'trip/b', 'frames/v/v_1']
    stems = ImageStems(queries[2:], out)
    assert [stems(query) for query in queries[2:]] == ['v_1']
    stems = ImageStems()
    assert [stems(query) for query in queries] == ['a', 'b', 'v_1']
    assert common_folder([None]) == Path.cwd()


def test_unique_names() -> None:
    """A number that is itself taken is passed by."""
    unique = UniqueNames(['b'])
    assert [unique(name) for name in ('a', 'a_2', 'A', 'b')] == [
        'a', 'a_2', 'A_3', 'b_2']
