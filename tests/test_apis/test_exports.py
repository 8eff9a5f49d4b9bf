"""Exports: what is written is, read by other programs' rules, the label map."""
from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from export_readers import iou, read_labelme, read_yolo
from PIL import Image, ImageDraw
from pycocotools.coco import COCO

from mmwsfs.apis.exports import EXPORTS, open_exports
from mmwsfs.apis.exports.polygons import mask_polygons

CLASSES = ['cat', 'a: "dog"']
SIZE = (120, 160)  # height, width


def label_map() -> np.ndarray:
    """Two parts with holes, one within another's hole, a line, a pixel, the border."""
    labels = np.zeros(SIZE, np.uint8)
    cv2.circle(labels, (50, 55), 45, 1, -1)
    for centre, radius in (((35, 40), 12), ((65, 50), 14), ((50, 80), 9)):
        cv2.circle(labels, centre, radius, 0, -1)
    cv2.circle(labels, (65, 50), 6, 1, -1)
    labels[100:, 100:] = 2
    labels[105:110, 110:150] = 0
    labels[10, 110:150] = 2  # a line
    labels[20, 120] = 2
    cv2.line(labels, (110, 30), (140, 90), 2, 1)
    return labels


def blob_map(seed: int) -> np.ndarray:
    """Parts of any form, as a network's are."""
    noise = np.random.default_rng(seed).normal(size=SIZE).astype(np.float32)
    return (cv2.GaussianBlur(noise, (0, 0), 4) > -0.02).astype(np.uint8)


def result(image: Path, labels: np.ndarray) -> dict:
    scores = [0.9 if (labels == number).any() else 0.2 for number in (1, 2)]
    return dict(
        image=str(image), presence=dict(zip(CLASSES, scores)), label_map=labels,
        present=[name for name, score in zip(CLASSES, scores) if score > 0.5])


@pytest.fixture
def results(tmp_path: Path) -> list[dict]:
    """Of photographs with one name in two folders, and of one that shows nothing."""
    maps = {'photos/x.jpg': label_map(), 'photos/trip/x.jpg': blob_map(0),
            'photos/trip/x.png': np.zeros(SIZE, np.uint8)}
    for name in maps:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', SIZE[::-1]).save(path)
    return [result(tmp_path / name, labels) for name, labels in maps.items()]


@pytest.fixture
def exported(results: list[dict], tmp_path: Path) -> Path:
    """All that is exported of the results."""
    with open_exports(tmp_path / 'out', list(EXPORTS), CLASSES,
                      [result['image'] for result in results],
                      tmp_path / 'sorted') as exports:
        for result in results:
            exports.add(result)
    assert not list(tmp_path.rglob('*.part'))
    return tmp_path / 'out'


STEMS = ('x', 'trip/x', 'trip/x_2')


def test_coco(exported: Path, results: list[dict], tmp_path: Path,
              capsys: pytest.CaptureFixture) -> None:
    """pycocotools gives the masks to the pixel, one a class and photograph."""
    coco = COCO(str(exported / 'coco/annotations.json'))
    assert [coco.cats[number]['name'] for number in (1, 2)] == CLASSES
    root = Path(coco.dataset['info']['image_root'])
    assert root == tmp_path / 'photos'
    for number, result in enumerate(results, start=1):
        image = coco.imgs[number]
        assert root / image['file_name'] == Path(result['image'])
        assert (image['height'], image['width']) == SIZE
        found = np.zeros(SIZE, np.uint8)
        for annotation in coco.loadAnns(coco.getAnnIds(number)):
            mask = coco.annToMask(annotation)
            assert annotation['area'] == mask.sum() and annotation['iscrowd'] == 0
            left, top, width, height = cv2.boundingRect(mask)
            assert annotation['bbox'] == [left, top, width, height]
            assert annotation['score'] == 0.9
            found += mask * annotation['category_id']
        assert np.array_equal(found, result['label_map'])
    assert len(coco.anns) == 3


def test_yolo(exported: Path, results: list[dict]) -> None:
    """Polygons of the parts, with their holes, beside copies of the photographs."""
    names = ('x.jpg', 'trip/x.jpg', 'trip/x_2.png')
    for name, result in zip(names, results):
        image = exported / 'yolo/images' / name
        assert image.read_bytes() == Path(result['image']).read_bytes()
        found = read_yolo(exported / 'yolo', name)
        assert list(found) == CLASSES
        for number, mask in enumerate(found.values(), start=1):
            expected = result['label_map'] == number
            assert mask.any() == expected.any()
            assert not expected.any() or iou(mask, expected) > 0.98


def test_labelme(exported: Path, results: list[dict]) -> None:
    """The same for LabelMe, which finds the photographs where they were."""
    for stem, result in zip(STEMS, results):
        found = read_labelme(exported / f'labelme/{stem}.json')
        assert list(found) == result['present']
        for name, mask in found.items():
            expected = result['label_map'] == 1 + CLASSES.index(name)
            assert iou(mask, expected) > 0.98


def test_png(exported: Path, results: list[dict]) -> None:
    """A mask a class, also where it is empty."""
    for stem, result in zip(STEMS, results):
        for number, folder in enumerate(('cat', 'a_ _dog_'), start=1):
            with Image.open(exported / f'png/{folder}/{stem}.png') as mask:
                assert mask.mode == 'L'
                expected = (result['label_map'] == number) * 255
                assert np.array_equal(mask, expected)


def test_sorted_copies(exported: Path, results: list[dict], tmp_path: Path) -> None:
    """Each photograph once for each class that is present; the originals stay."""
    copies = sorted(str(path.relative_to(tmp_path / 'sorted'))
                    for path in (tmp_path / 'sorted').rglob('*') if path.is_file())
    assert copies == ['a_ _dog_/x.jpg', 'cat/trip/x.jpg', 'cat/x.jpg',
                      'none/trip/x_2.png']
    assert all(Path(result['image']).is_file() for result in results)


def test_a_class_named_none(results: list[dict], tmp_path: Path) -> None:
    """Is not mixed with what shows nothing."""
    entry = dict(results[0], presence=dict(none=0.9), present=['none'])
    with open_exports(tmp_path, [], ['none'], [], tmp_path / 'sorted') as exports:
        exports.add(entry)
        exports.add(dict(results[2], present=[]))
    assert (tmp_path / 'sorted/none_2/x.jpg').is_file()
    assert (tmp_path / 'sorted/none/x_2.png').is_file()


@pytest.mark.parametrize('name', list(EXPORTS))
def test_what_was_added_before_an_error_is_kept(
        name: str, results: list[dict], tmp_path: Path) -> None:
    """And can be read: the format is not known to be cut off."""
    with pytest.raises(KeyboardInterrupt):
        with open_exports(tmp_path / 'out', [name], CLASSES,
                          [result['image'] for result in results]) as exports:
            exports.add(results[0])
            raise KeyboardInterrupt
    folder = tmp_path / 'out' / name
    if name == 'coco':
        content = json.loads((folder / 'annotations.json').read_text())
        assert len(content['images']) == 1 and len(content['annotations']) == 2
    elif name == 'yolo':
        assert read_yolo(folder, 'x.jpg')['cat'].any()
    elif name == 'labelme':
        assert read_labelme(folder / 'x.json')['cat'].any()
    else:
        assert np.asarray(Image.open(folder / 'cat/x.png')).any()


def test_a_disk_that_refuses(results: list[dict], tmp_path: Path) -> None:
    """Is an error that names the file."""
    (tmp_path / 'out/labelme').mkdir(parents=True)
    (tmp_path / 'out/labelme/x.json').mkdir()
    with pytest.raises(OSError, match=r"out/labelme/x\.json'"):
        with open_exports(tmp_path / 'out', ['labelme'], CLASSES, []) as exports:
            exports.add(results[0])


@pytest.mark.parametrize('seed', range(5))
def test_polygons_of_many_holes(seed: int) -> None:
    """Slits hide nothing: filled by OpenCV or Pillow, the polygons are the mask."""
    mask = blob_map(seed)
    holes = 0
    by_opencv, by_pillow = np.zeros_like(mask), Image.new('L', SIZE[::-1])
    for polygon in mask_polygons(mask):
        assert polygon.shape[1] == 2 and len(polygon) >= 3
        one = np.zeros_like(mask)
        cv2.fillPoly(one, [polygon], 1)
        by_opencv |= one
        picture = Image.new('L', SIZE[::-1])
        ImageDraw.Draw(picture).polygon(
            [tuple(point) for point in polygon.tolist()], outline=1, fill=1)
        by_pillow.paste(1, mask=picture.point(lambda value: value * 255))
        holes += len(polygon) - len(np.unique(polygon, axis=0)) > 1
    assert holes
    assert iou(by_opencv > 0, mask > 0) > 0.98
    assert iou(np.array(by_pillow) > 0, mask > 0) > 0.98


def test_no_pixels() -> None:
    """No polygon."""
    assert mask_polygons(np.zeros((4, 4), bool)) == []
