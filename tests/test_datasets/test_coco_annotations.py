"""CocoAnnotations: the objects of images, from COCO JSON files."""
from __future__ import annotations

import json
import pickle
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from coco_files import CATEGORY_IDS, CLASSES, rectangle

from mmwsfs.datasets import coco20i, coco_annotations
from mmwsfs.datasets.coco_annotations import CocoAnnotations, object_area, read_coco

NAN = float('nan')
VAL = 'coco/annotations/instances_val2014.json'


@pytest.fixture
def content(tiny_coco: Path) -> dict:
    """A COCO JSON, for the test to change."""
    return json.loads((tiny_coco / VAL).read_text())


@pytest.fixture
def refusal(content: dict, tmp_path: Path) -> Callable[[], str]:
    """The error for the changed content, which has to name the file."""
    def read() -> str:
        path = tmp_path / 'changed.json'
        path.write_text(json.dumps(content))
        with pytest.raises(ValueError) as error:
            CocoAnnotations([path], CLASSES, {210, 211})
        assert str(error.value).startswith(f"annotation file '{path}'")
        return str(error.value)
    return read


def test_objects_of_an_image(tiny_coco: Path) -> None:
    """Sizes, and category ids that have become class numbers, by name."""
    annotations = CocoAnnotations([tiny_coco / VAL], CLASSES, {230, 211, 999})
    assert 230 in annotations and 211 in annotations
    assert 999 not in annotations  # not in the file
    assert 220 not in annotations  # not asked for
    assert annotations[230] == dict(
        file=str(tiny_coco / VAL), size=[40, 48], objects=[
            dict(id=200010, class_id=7, area=100, crowd=False,
                 segmentation=[rectangle(22, 22, 32, 32)]),
            dict(id=200011, class_id=3, area=624, crowd=False,
                 segmentation=[rectangle(4, 6, 30, 30)])])
    assert [o['crowd'] for o in annotations[211]['objects']] == [False, True]


def test_category_ids_do_not_matter(tiny_coco: Path, content: dict) -> None:
    """A class is found by its name, whatever its number and place in the file."""
    assert [c['id'] for c in content['categories']] == list(CATEGORY_IDS)[::-1]
    _, numbers = read_coco(tiny_coco / VAL, CLASSES)
    assert numbers == {1: 1, 2: 2, 3: 3, 5: 4, 8: 5, 13: 6, 21: 7, 34: 8}
    _, numbers = read_coco(tiny_coco / VAL, CLASSES[::-1])
    assert numbers[34] == 1 and numbers[1] == 8


def test_real_file(shared_data: Path) -> None:
    """All images of a real file, against plain JSON."""
    file = shared_data / 'coco/annotations/instances_subset.json'
    content = json.loads(file.read_text())
    names = {c['id']: c['name'] for c in content['categories']}
    images = {image['id']: image for image in content['images']}
    annotations = CocoAnnotations([file], coco20i.COCO_CLASSES, set(images))
    found = {}
    for image_id, image in images.items():
        coco = annotations[image_id]
        assert coco['size'] == [image['height'], image['width']]
        found.update({item['id']: item for item in coco['objects']})
    numbers = {name: n for n, name in enumerate(coco20i.COCO_CLASSES, start=1)}
    assert found == {
        a['id']: dict(
            id=a['id'], class_id=numbers[names[a['category_id']]],
            area=a['area'], crowd=a['iscrowd'] == 1, segmentation=a['segmentation'])
        for a in content['annotations']}
    assert {item['class_id'] for item in found.values()} == set(range(1, 81))


def test_several_files(tiny_coco: Path) -> None:
    """An image may be in any of the files."""
    files = [tiny_coco / VAL, tiny_coco / VAL.replace('val', 'train')]
    annotations = CocoAnnotations(files, CLASSES, {110, 210})
    assert annotations[110]['file'].endswith('train2014.json')
    assert annotations[210]['file'].endswith('val2014.json')


def test_an_image_without_objects(content: dict, tmp_path: Path) -> None:
    """COCO has such images: they are known, and empty."""
    content['annotations'] = [
        a for a in content['annotations'] if a['image_id'] != 210]
    (tmp_path / 'a.json').write_text(json.dumps(content))
    annotations = CocoAnnotations([tmp_path / 'a.json'], CLASSES, {210})
    assert annotations[210]['objects'] == []


def test_nothing_is_printed_and_it_can_be_pickled(
        tiny_coco: Path, capsys: pytest.CaptureFixture) -> None:
    """pycocotools' progress lines stay out of the log; workers may get a pickle."""
    annotations = CocoAnnotations([tiny_coco / VAL], CLASSES, {210})
    assert capsys.readouterr().out == ''
    assert pickle.loads(pickle.dumps(annotations))[210] == annotations[210]


# ------------------------------------------------------------- bad input
def test_no_file_named() -> None:
    """The error says what to set."""
    with pytest.raises(ValueError, match='ann_files is empty: name COCO JSON files, or '
                       "set masks='none'"):
        CocoAnnotations([], CLASSES, {1})


def test_missing_file(tmp_path: Path) -> None:
    """The error names the file."""
    with pytest.raises(FileNotFoundError, match=r"file '.*none\.json' does not exist"):
        CocoAnnotations([tmp_path / 'none.json'], CLASSES, {1})


@pytest.mark.parametrize('share', [0, 0.5, 0.999])
def test_truncated_file(tiny_coco: Path, tmp_path: Path, share: float) -> None:
    """A download that broke off is no file of fewer images."""
    whole = (tiny_coco / VAL).read_bytes()
    (tmp_path / 'cut.json').write_bytes(whole[:int(share * len(whole))])
    with pytest.raises(ValueError, match=r"cut\.json' is truncated or no COCO JSON"):
        CocoAnnotations([tmp_path / 'cut.json'], CLASSES, {210})


@pytest.mark.parametrize('content', [
    '[]', '"images"', '{"images": 5, "annotations": [], "categories": []}',
    '{"images": [], "annotations": [5], "categories": []}',
    '{"images": [], "annotations": [{"id": 1}], "categories": []}',
    '{"images": [{}], "annotations": [], "categories": []}',
    '{"images": [], "annotations": [{"id": 1, "image_id": 1}], "categories": []}'])
def test_other_json(tmp_path: Path, content: str) -> None:
    """JSON of another kind is not read as far as it goes."""
    (tmp_path / 'other.json').write_text(content)
    with pytest.raises(ValueError, match=r"other\.json' is truncated or no COCO JSON"):
        CocoAnnotations([tmp_path / 'other.json'], CLASSES, {210})


def test_no_text(tmp_path: Path) -> None:
    """Nor is anything else."""
    (tmp_path / 'other.json').write_bytes(b'\x89PNG\xff')
    with pytest.raises(ValueError, match=r"n file '.*other\.json' is no UTF-8 text"):
        CocoAnnotations([tmp_path / 'other.json'], CLASSES, {210})


@pytest.mark.parametrize('key', ['images', 'annotations', 'categories'])
def test_file_of_another_kind(content: dict, refusal: Callable, key: str) -> None:
    """Captions and image infos of COCO lack a part."""
    del content[key]
    assert f"has no '{key}'" in refusal()


def test_annotation_of_an_unknown_category(content: dict, refusal: Callable) -> None:
    """Even where the image is not asked for: the file is not what it should be."""
    content['annotations'][-1]['category_id'] = 77
    assert (f"annotation {content['annotations'][-1]['id']} has category_id 77, which "
            "is not among the file's categories") in refusal()


@pytest.mark.parametrize('name', ['unicorn', None])
def test_category_that_is_no_class(
        content: dict, refusal: Callable, name: str | None) -> None:
    """Masks of other classes are not dropped silently."""
    content['categories'][2]['name'] = name
    text = refusal()
    assert f'category 13 ({name!r}) is no class of the dataset' in text
    assert "'ant', 'bee'" in text


@pytest.mark.parametrize(('part', 'key'), [
    ('images', 'height'), ('images', 'width'), ('annotations', 'segmentation')])
def test_missing_fields(
        content: dict, refusal: Callable, part: str, key: str) -> None:
    """The image and the field are named."""
    del content[part][0][key]
    assert f"image 210 or one of its annotations has no '{key}'" in refusal()


# ------------------------------------------------------------- values of other tools
@pytest.fixture
def objects(content: dict, tmp_path: Path) -> Callable[..., list[dict]]:
    """The objects of image 210 of the changed content."""
    def read(encoding: str = 'utf-8') -> list[dict]:
        path = tmp_path / 'changed.json'
        path.write_text(json.dumps(content, ensure_ascii=False), encoding=encoding)
        return CocoAnnotations([path], CLASSES, {210, 211, 212})[210]['objects']
    return read


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The warnings."""
    texts: list[str] = []
    monkeypatch.setattr(
        coco_annotations, 'print_log',
        lambda text, logger, level: texts.append(text))
    return texts


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16'])
def test_text_of_other_programs(
        objects: Callable, content: dict, encoding: str) -> None:
    """A byte-order mark, and UTF-16, change nothing."""
    expected = objects()
    content['info'] = dict(contributor='Žofie')
    assert objects(encoding) == expected


@pytest.mark.parametrize('area', ['100', None, NAN, True, [100], 'missing'])
def test_area_that_is_no_number(
        objects: Callable, content: dict, area: object) -> None:
    """It only orders the painting: the segmentation's takes its place."""
    for annotation in content['annotations'][:2]:
        annotation['area'] = area
        if area == 'missing':
            del annotation['area']
    assert [item['area'] for item in objects()] == [10 * 10, 24 * 26]


def test_area_of_every_segmentation(shared_data: Path) -> None:
    """Of real objects it is their pixels, of one polygon about what COCO gives."""
    file = shared_data / 'coco/annotations/instances_subset.json'
    coco, _ = read_coco(file, coco20i.COCO_CLASSES)
    single = 0
    for annotation in coco.anns.values():
        assert object_area(coco, annotation) == annotation['area']
        computed = object_area(coco, dict(annotation, area=None))
        assert computed == coco.annToMask(annotation).sum()
        if len(annotation['segmentation']) == 1 and annotation['area'] > 3000:
            assert computed == pytest.approx(annotation['area'], rel=0.05)
            single += 1
    assert single > 500


def test_area_of_a_malformed_segmentation(content: dict, refusal: Callable) -> None:
    content['annotations'][0].update(area=None, segmentation=[[1, 2, 3, 4]])
    assert 'annotation 200000 has no area but None, and a malformed segmentation: a ' \
        'polygon has fewer than 3 points' in refusal()


def test_category_that_nothing_uses(objects: Callable, content: dict) -> None:
    """Roboflow writes one of number 0, above all others."""
    expected = objects()
    content['categories'].insert(0, dict(id=0, name='animals', supercategory='none'))
    assert objects() == expected


def test_polygons_over_the_border(
        objects: Callable, content: dict, warned: list[str], tmp_path: Path) -> None:
    """Counted, and told once for a file; outlines on the rim are as usual."""
    first, second, third = content['annotations'][:3]
    first['segmentation'] = [rectangle(0, 0, 50, 40)]
    second['segmentation'] = [rectangle(4, 6, 30, 30), rectangle(-2, 0, 4, 4)]
    third['segmentation'] = [rectangle(-1, -1, 49, 41)]
    assert [item['segmentation'] for item in objects()] == [
        first['segmentation'], second['segmentation']]
    assert warned == [
        f"annotation file '{tmp_path / 'changed.json'}': 2 objects reach over the "
        'border of their image and are clipped']


@pytest.mark.parametrize('segmentation', [[], None])
def test_objects_without_segmentation(
        objects: Callable, content: dict, warned: list[str], tmp_path: Path,
        segmentation: list | None) -> None:
    """Boxes alone are left out, counted, and told once for a file."""
    for annotation in content['annotations'][:3:2]:
        annotation.update(segmentation=segmentation, area=None)
    assert [item['id'] for item in objects()] == [content['annotations'][1]['id']]
    assert warned == [
        f"annotation file '{tmp_path / 'changed.json'}': 2 objects have no "
        'segmentation and are left out']


def test_class_names_match_however_they_are_composed(
        content: dict, tmp_path: Path) -> None:
    content['categories'][0]['name'] = unicodedata.normalize('NFD', 'Kühe')
    number = content['categories'][0]['id']
    path = tmp_path / 'changed.json'
    path.write_text(json.dumps(content))
    _, numbers = read_coco(path, (*CLASSES[:-1], 'Kühe'))
    assert numbers[number] == 8


def test_a_malformed_polygon_is_told_when_it_is_painted(
        content: dict, tmp_path: Path) -> None:
    """Reading, which only looks whether polygons reach over the border, passes on."""
    content['annotations'][0].update(area=9., segmentation=[['x', 'y']])
    path = tmp_path / 'changed.json'
    path.write_text(json.dumps(content))
    image = content['annotations'][0]['image_id']
    objects = CocoAnnotations([path], CLASSES, {image})[image]['objects']
    assert [['x', 'y']] in [item['segmentation'] for item in objects]
