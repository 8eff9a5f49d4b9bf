"""LoadCocoLabelMap: label maps of COCO annotations."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from coco_files import rectangle, rle_list
from mmcv.transforms import LoadImageFromFile
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mmwsfs.datasets import LoadCocoLabelMap, coco20i
from mmwsfs.datasets.coco_annotations import CocoAnnotations
from mmwsfs.datasets.split_lists import read_class_images, split_classes

HEIGHT, WIDTH = 12, 16


def thing(number: int, segmentation: object, class_id: int = 1, area: float = 10,
          crowd: bool = False) -> dict:
    return dict(id=number, class_id=class_id, area=area, crowd=crowd,
                segmentation=segmentation)


def drawn(*objects: dict, **fields) -> dict:
    """The transform's results for an image of 16x12 pixels."""
    coco = dict(file='some.json', size=[HEIGHT, WIDTH], objects=list(objects))
    return LoadCocoLabelMap()(dict(coco=coco, seg_fields=[], **fields))


def painted(*boxes: tuple[int, int, int, int, int]) -> np.ndarray:
    """Pixel by pixel: the last (label, left, top, right, bottom) box wins."""
    label_map = np.zeros((HEIGHT, WIDTH), np.uint8)
    for y in range(HEIGHT):
        for x in range(WIDTH):
            for label, left, top, right, bottom in boxes:
                if left <= x < right and top <= y < bottom:
                    label_map[y, x] = label
    return label_map


def box_mask(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    return painted((1, left, top, right, bottom))


def compressed(mask: np.ndarray) -> dict:
    rle = coco_mask.encode(np.asfortranarray(mask))
    return dict(size=rle['size'], counts=rle['counts'].decode())


# ------------------------------------------------------------- shapes
def test_what_it_adds() -> None:
    """Label map, labels and the field that a resize acts on."""
    results = drawn(thing(1, [rectangle(2, 3, 9, 8)], class_id=80))
    assert results['gt_seg_map'].dtype == np.uint8
    assert np.array_equal(results['gt_seg_map'], painted((80, 2, 3, 9, 8)))
    assert results['seg_labels'] == {0, 80}
    assert results['seg_fields'] == ['gt_seg_map']


@pytest.mark.parametrize('form', [rle_list, compressed,
                                  lambda mask: [rectangle(3, 1, 16, 12)]])
def test_every_form_of_a_region(form) -> None:
    """Polygon, list of runs and compressed runs are the same pixels."""
    results = drawn(thing(1, form(box_mask(3, 1, 16, 12)), class_id=7))
    assert np.array_equal(results['gt_seg_map'], painted((7, 3, 1, 16, 12)))


def test_object_of_several_parts() -> None:
    """All polygons of an object are painted, overlapping or not."""
    results = drawn(thing(1, [rectangle(0, 0, 4, 4), rectangle(2, 2, 6, 6),
                              rectangle(10, 8, 12, 12)], class_id=3))
    assert np.array_equal(results['gt_seg_map'], painted(
        (3, 0, 0, 4, 4), (3, 2, 2, 6, 6), (3, 10, 8, 12, 12)))


def test_image_without_objects() -> None:
    """Background, as in COCO's images without annotations."""
    results = drawn()
    assert not results['gt_seg_map'].any() and results['seg_labels'] == {0}


def test_runs_of_no_pixels() -> None:
    """Other programs write runs of length 0, which are not wrong."""
    runs = dict(size=[HEIGHT, WIDTH], counts=[12, 0, 12, 24, HEIGHT * WIDTH - 48, 0])
    results = drawn(thing(1, runs, class_id=4))
    assert np.array_equal(results['gt_seg_map'], painted((4, 2, 0, 4, 12)))


# ------------------------------------------------------------- order
def test_small_over_large_whatever_the_order() -> None:
    """Areas decide, not the order of the file; at the same area the greater id."""
    boxes = {1: (5, 96, (0, 0, 12, 8)), 2: (6, 20, (2, 2, 7, 6)),
             3: (7, 20, (4, 3, 9, 7)), 4: (8, 48, (6, 0, 12, 12))}
    objects = [thing(number, [rectangle(*box)], class_id, area)
               for number, (class_id, area, box) in boxes.items()]
    expected = painted(*(
        (boxes[n][0], *boxes[n][2]) for n in (1, 4, 2, 3)))
    for order in (objects, objects[::-1], objects[2:] + objects[:2]):
        assert np.array_equal(drawn(*order)['gt_seg_map'], expected)


def test_crowds_are_void_under_all_objects() -> None:
    """However small the crowd is."""
    results = drawn(
        thing(9, rle_list(box_mask(4, 4, 8, 8)), class_id=2, area=1, crowd=True),
        thing(1, [rectangle(0, 0, 6, 6)], class_id=2, area=500))
    assert np.array_equal(
        results['gt_seg_map'], painted((255, 4, 4, 8, 8), (2, 0, 0, 6, 6)))
    assert results['seg_labels'] == {0, 2, 255}


# ------------------------------------------------------------- real annotations
def restated(coco: COCO, image_id: int, numbers: dict[int, int]) -> np.ndarray:
    """The label map by the winner at every pixel, in no particular order."""
    image = coco.imgs[image_id]
    shape = image['height'], image['width']
    label_map = np.zeros(shape, np.uint8)
    best = np.full(shape, np.inf)  # the smallest area so far; ids break ties
    best_id = np.full(shape, -1)
    for annotation in coco.imgToAnns[image_id]:
        inside = coco.annToMask(annotation) == 1
        if annotation['iscrowd']:
            label_map[inside & (best == np.inf)] = 255
            continue
        area, number = annotation['area'], annotation['id']
        wins = inside & ((area < best) | ((area == best) & (number > best_id)))
        label_map[wins] = numbers[annotation['category_id']]
        best[wins], best_id[wins] = area, number
    return label_map


def test_real_annotations(shared_data: Path) -> None:
    """Photographs with crowds, and others, against pycocotools' masks."""
    file = shared_data / 'coco/annotations/instances_subset.json'
    coco = COCO(str(file))
    crowded = {a['image_id'] for a in coco.anns.values() if a['iscrowd']}
    images = sorted(crowded)[::2] + sorted(coco.imgs.keys() - crowded)[::12]
    classes = coco20i.COCO_CLASSES
    numbers = {c['id']: classes.index(c['name']) + 1 for c in coco.cats.values()}
    annotations = CocoAnnotations([file], classes, set(images))
    load = LoadImageFromFile(imdecode_backend='pillow')
    kinds = set()
    for image_id in images:
        results = load(dict(
            img_path=str(shared_data / f'coco/images/{image_id:012d}.jpg'),
            seg_fields=[], coco=annotations[image_id]))
        label_map = LoadCocoLabelMap()(results)['gt_seg_map']
        assert label_map.shape == results['img'].shape[:2]
        assert np.array_equal(label_map, restated(coco, image_id, numbers)), image_id
        assert results['seg_labels'] == set(label_map.ravel().tolist())
        kinds |= results['seg_labels']
    assert 255 in kinds and len(kinds) > 30


def test_all_real_annotations_are_well_formed(shared_data: Path) -> None:
    """Nothing in COCO's own files is refused: outlines on the rim and the like."""
    file = shared_data / 'coco/annotations/instances_subset.json'
    content = json.loads(file.read_text())
    ids = {image['id'] for image in content['images']}
    annotations = CocoAnnotations([file], coco20i.COCO_CLASSES, ids)
    region = LoadCocoLabelMap._region
    count = 0
    for image_id in ids:
        coco = annotations[image_id]
        for item in coco['objects']:
            count += region(item['segmentation'], tuple(coco['size'])).any()
    assert count == len(content['annotations'])


def test_a_photo_by_pillow(shared_data: Path) -> None:
    """Polygons by another rasteriser: the inner pixels agree, the rim may not."""
    file = shared_data / 'coco/annotations/instances_subset.json'
    content = json.loads(file.read_text())
    single = [a for a in content['annotations'] if isinstance(a['segmentation'], list)
              and len(a['segmentation']) == 1 and a['area'] > 20000][:8]
    assert len(single) == 8
    sizes = {i['id']: (i['height'], i['width']) for i in content['images']}
    for annotation in single:
        size = sizes[annotation['image_id']]
        points = list(map(float, annotation['segmentation'][0]))
        item = thing(1, [points], class_id=9)
        label_map = LoadCocoLabelMap()(dict(seg_fields=[], coco=dict(
            file='', size=list(size), objects=[item])))['gt_seg_map']
        image = Image.new('L', size[::-1])
        ImageDraw.Draw(image).polygon(points, fill=9)
        differ = (np.array(image) != label_map).sum()
        assert differ < 0.03 * annotation['area']
        assert (label_map == 9).sum() == pytest.approx(annotation['area'], rel=0.02)


# ------------------------------------------------------------- bad input
def refusal(*objects: dict, **fields) -> str:
    with pytest.raises(ValueError) as error:
        drawn(*objects, **fields)
    assert str(error.value).startswith("annotation file 'some.json'")
    return str(error.value)


def test_no_annotations() -> None:
    """Without masks the dataset gives none: the error says what to change."""
    with pytest.raises(KeyError, match="set masks='all' or take LoadCocoLabelMap "
                       'out of the pipeline'):
        LoadCocoLabelMap()(dict(seg_fields=[]))


def test_image_of_another_size() -> None:
    """Annotations of another image, or of a resized one, are not painted on it."""
    assert 'says that the image is (12, 16), but it is (16, 12) pixels (height' in (
        refusal(ori_shape=(16, 12)))
    drawn(ori_shape=(12, 16))


NAN = float('nan')


@pytest.mark.parametrize(('segmentation', 'expected'), [
    ([[0, 0, 32.5, 0, 5, 5]], 'reaches (32.5, 0), outside its image of 16x12 pixels'),
    ([[0, 0, 5, 25, 5, 5]], 'reaches (5, 25), outside'),
    ([rectangle(1, 1, 4, 4), [0, 0, -17, 3, 5, 5]], 'reaches (-17, 3), outside'),
    ([[0, 0, 1e9, 3, 5, 5]], 'reaches (1e+09, 3), outside'),
    ([[0, 0, NAN, 3, 5, 5]], 'reaches (nan, 3), outside'),
    ([[1, 1, 5, 5]], 'a polygon has fewer than 3 points'),
    ([[]], 'a polygon has fewer than 3 points'),
    ([], 'it has no polygon'),
    (None, 'it has no polygon'),
    ([[1, 1, 5, 5, 7]], 'annotation 41'),
    ([['a', 1, 5, 5, 7, 7]], 'annotation 41'),
    ([3, 4, 5], 'annotation 41'),
    ('polygon', 'annotation 41'),
    (dict(size=[16, 12], counts=[192]), 'its RLE is [16, 12], its image [12, 16]'),
    (dict(size=[12, 16], counts=[10, 20]), 'its RLE has 30 pixels, its image 192'),
    (dict(size=[12, 16], counts=[10, 200]), 'its RLE has 210 pixels, its image 192'),
    (dict(size=[12, 16], counts=[10, -20, 202]), 'annotation 41'),
    (dict(size=[12, 16], counts=['a']), 'annotation 41'),
    (dict(size=[12, 16], counts=20 * 'z'), 'annotation 41'),
    (dict(size=[12, 16]), "'counts'"),
    (dict(counts=[192]), "'size'"),
])
def test_malformed_segmentation(segmentation: object, expected: str) -> None:
    """The error names file, annotation and fault; nothing is painted instead."""
    text = refusal(thing(7, [rectangle(0, 0, 3, 3)]), thing(41, segmentation))
    assert 'annotation 41 has a malformed segmentation' in text and expected in text


def test_truncated_compressed_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """pycocotools leaves the pixels that no run reaches as they were in memory."""
    whole = compressed(box_mask(3, 1, 16, 12))
    cut = dict(whole, counts=whole['counts'][:len(whole['counts']) // 2])
    monkeypatch.setattr(
        coco_mask, 'decode', lambda rle: np.ones((HEIGHT, WIDTH), np.uint8))
    assert 'annotation 41 has a malformed segmentation: its RLE has ' in (
        refusal(thing(41, cut)))


@pytest.mark.parametrize('box', [
    (-1, -1, 17, 13), (-9, 3, 5, 8), (10, -7, 20, 5), (4, 9, 30, 24), (-16, -12, 32, 24)
])
def test_polygon_over_the_border(box: tuple[int, ...]) -> None:
    """It is clipped: the pixels inside are those of the shape, none is beside it."""
    results = drawn(thing(1, [rectangle(*box)], class_id=2))
    assert np.array_equal(results['gt_seg_map'], painted((2, *box)))


def test_slanted_polygon_over_the_border() -> None:
    """Clipping does not bend edges: as cut out of a larger image, but for rounding."""
    points = np.array([(-6, 2), (9, -5), (21, 7), (5, 17)])
    inside = drawn(thing(1, [points.ravel().tolist()]))['gt_seg_map']
    larger = dict(file='some.json', size=[HEIGHT + 40, WIDTH + 40], objects=[
        thing(1, [(points + 20).ravel().tolist()])])
    whole = LoadCocoLabelMap()(dict(coco=larger, seg_fields=[]))['gt_seg_map']
    expected = whole[20:20 + HEIGHT, 20:20 + WIDTH]
    assert (inside != expected).sum() <= 2 and 0.2 < expected.mean() < 0.98


# ------------------------------------------------------------- labels of the lists
def test_a_class_that_nobody_annotated() -> None:
    """The lists name the image for it: the annotations contradict them."""
    text = refusal(
        thing(1, [rectangle(0, 0, 4, 4)], class_id=2), labels=[2, 3],
        classes=('ant', 'bee', 'cow'))
    assert "does not show class 3 ('cow'), for which the lists name its image" in text


def test_an_object_under_another_is_annotated() -> None:
    """What is painted over is there, though no pixel of it is left."""
    results = drawn(
        thing(1, [rectangle(0, 0, 4, 4)], class_id=2, area=16),
        thing(2, [rectangle(0, 0, 6, 6)], class_id=3, area=10), labels=[2, 3])
    assert results['seg_labels'] == {0, 3}


def test_no_entry_of_the_real_lists_is_refused(shared_data: Path) -> None:
    """Annotations show every class for which the published lists name an image."""
    file = shared_data / 'coco/annotations/instances_subset.json'
    ids = {image['id'] for image in json.loads(file.read_text())['images']}
    labels: dict[int, set[int]] = {}
    for fold in range(4):
        for split in ('trn', 'val'):
            classes = split_classes(split, fold, 80, interleaved=True)
            path = shared_data / f'splits/coco20i/{split}/fold{fold}.json.gz'
            for name, number in read_class_images(path, classes):
                if int(name) in ids:
                    labels.setdefault(int(name), set()).add(number)
    annotations = CocoAnnotations([file], coco20i.COCO_CLASSES, set(labels))
    for image_id, numbers in labels.items():
        LoadCocoLabelMap()(dict(
            coco=annotations[image_id], seg_fields=[], classes=coco20i.COCO_CLASSES,
            labels=sorted(numbers)))
    assert len(labels) > 100
