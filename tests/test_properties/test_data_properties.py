"""Files of data, whatever is in them: a result, or one clear error."""
from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from one_clear_error import (
    anything,
    damaged,
    few,
    one_clear_error,
    replaced,
    write_json,
)
from PIL import Image

from mmwsfs.apis.image_pipeline import ImagePipeline
from mmwsfs.datasets.coco_annotations import CocoAnnotations
from mmwsfs.datasets.episode_file import read_episodes
from mmwsfs.datasets.partial_masks import read_masked
from mmwsfs.datasets.split_lists import (
    coco_image_name,
    parse_class_images,
    parse_split_list,
    read_split_list,
)
from mmwsfs.datasets.tag_file import read_tags
from mmwsfs.datasets.transforms import (
    LoadCocoLabelMap,
    LoadImageFromFile,
    LoadLabelMap,
    LoadObjectMask,
)
from mmwsfs.utils.image_file import read_image

NAMES = ['a', 'b__c', 'ü', '2007_000032', '']
texts = st.text(max_size=30) | st.lists(st.tuples(
    st.sampled_from(NAMES), st.sampled_from(['__', '_', ' ']),
    st.sampled_from(['1', '05', '999', '٣', '1.0', '-1', ''])
).map(''.join), max_size=4).map('\n'.join)


def put(path: Path, content: str | bytes) -> None:
    """Write a file of anything."""
    path.write_bytes(
        content if isinstance(content, bytes) else
        content.encode(errors='surrogatepass'))


# ------------------------------------------------------------- lists
@few
@given(texts | st.binary(max_size=30))
@example('\ufeffa__1')
def test_split_lists(tmp_path: Path, content: str | bytes) -> None:
    """Entries have a name, and a class of the fold."""
    path = tmp_path / 'fold0.txt'
    put(path, content)
    with one_clear_error(str(path)):
        entries = read_split_list(path, 20)
        assert entries and all(
            name.split() == [name] and number in range(1, 6)
            for name, number in entries)


def test_digits_of_other_scripts(tmp_path: Path) -> None:
    """They are digits for Python, but no class number."""
    (tmp_path / 'fold0.txt').write_text('a__٣')
    with pytest.raises(ValueError, match=r'fold0\.txt:1: .*name__class'):
        read_split_list(tmp_path / 'fold0.txt', 20)


@few
@given(st.text(st.characters(exclude_characters='/.\0'), max_size=9))
def test_names_of_split_lists(name: str) -> None:
    """The fold is in the file's name, or the file is refused."""
    with one_clear_error(name):
        parse_split_list(['a__1'], Path('in', name), 20)


LIST = {'0': ['val2014/COCO_val2014_000000000009.jpg'], '1': ['000000000010.jpg']}


@few
@given(st.data())
@example('{"0": ["1.jpg"], "0": ["2.jpg"]}')
@example('{"0": ["1.jpg"], "00": ["2.jpg"]}')
@example('{"1_0": ["1.jpg"]}')
@example('{"0": ["%s.jpg"]}' % ('9' * 5000))
@example('{"%s": ["1.jpg"]}' % ('9' * 5000))
@example('[' * 100000)
def test_gzipped_split_lists(data: object) -> None:
    """JSON with a key twice, or that is nested too deeply, is none."""
    path = Path('val/fold0.json.gz')
    if isinstance(data, str):
        content = gzip.compress(data.encode())
        with pytest.raises(ValueError, match=f"split list '{path}'"):
            parse_class_images(content, path, [1, 2])
        return
    changed = replaced(LIST, data.draw)
    content = data.draw(
        st.just(gzip.compress(json.dumps(changed).encode()))
        | damaged(gzip.compress(json.dumps(LIST).encode())))
    with one_clear_error(str(path)):
        entries = parse_class_images(content, path, [1, 2])
        assert all(len(name) >= 12 and name.isdigit() and number in (1, 2)
                   for name, number in entries)


def test_a_gzip_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file that unpacks to much is not unpacked to the end."""
    monkeypatch.setattr('mmwsfs.datasets.split_lists.MAX_BYTES', 10**6)
    with pytest.raises(ValueError, match='fold0.json.gz.*unpacks to more than'):
        parse_class_images(
            gzip.compress(bytes(10**8)), Path('fold0.json.gz'), [1])


@few
@given(st.text(max_size=12) | st.from_regex(r'[\w/]{0,3}\d{1,25}(\.\w+)?\n?'))
def test_coco_names(file: str) -> None:
    """A name's number, of this world's digits."""
    with one_clear_error(f"'{file}'"):
        name = coco_image_name(file)
        assert name.isascii() and int(name) < 10**18


@few
@given(st.text(max_size=20) | st.binary(max_size=20))
def test_lists_of_masks(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / 'masked.txt'
    put(path, content)
    with one_clear_error(str(path)):
        assert read_masked(path, ['a', 'b'], lambda line: line[:1]) <= {'a', 'b'}


# ------------------------------------------------------------- tags
TAGS = {'kitchen/1.jpg': ['mug', 'spoon'], '2.jpg': ['mug']}


def assert_tags(tags: dict) -> None:
    assert tags
    for image, labels in tags.items():
        assert Path(image).name and '\0' not in image
        assert labels and all(labels) and len(set(labels)) == len(labels)


@few
@given(st.data())
@example('{"a.jpg": ["x"], "a.jpg": ["y"]}')
@example('{"a.jpg": [NaN]}')
@example('{"\\u0000": ["x"]}')
@example('{".": ["x"]}')
@example('{"a": ' + '[' * 100000)
def test_tags_in_json(tmp_path: Path, data: object) -> None:
    path = tmp_path / 'tags.json'
    if isinstance(data, str):
        path.write_text(data)
        with pytest.raises(ValueError, match=str(path)):
            read_tags(path)
        return
    path.write_bytes(data.draw(
        st.just(json.dumps(replaced(TAGS, data.draw)).encode())
        | damaged(json.dumps(TAGS).encode())))
    with one_clear_error(str(path)):
        assert_tags(read_tags(path))


cells = st.sampled_from(
    ['image', 'labels', 'a.jpg', 'x;y', ';', '', '"', '"a""', '.', '/', '\0', ' a '])
tables = st.lists(st.lists(cells, max_size=4).map(','.join), max_size=5).map('\n'.join)


@few
@given(tables | tables.map('image,labels\n'.__add__) | st.text(max_size=20))
@example('image,image,labels\na,b,x')
@example('image,labels\n"a,x')
def test_tags_in_csv(tmp_path: Path, content: str) -> None:
    path = tmp_path / 'tags.csv'
    path.write_bytes(content.encode(errors='surrogatepass'))
    with one_clear_error(str(path)):
        assert_tags(read_tags(path))


# ------------------------------------------------------------- episodes
HEAD = dict(
    dataset='D', protocol='FS-CS', fold=0, way=1, shot=1,
    classes={'1': 'ant', '2': 'bee'}, lists_sha256='0')
EPISODES = dict(
    format='mmwsfs-episodes', version=1, **HEAD, episodes=[
        dict(query='a.jpg', classes=[1], supports=[['b.jpg']]),
        dict(query='b.jpg', classes=['bee'], supports=[['c.jpg']])])


@few
@given(st.data())
@example('{"episodes": [], "episodes": []}')
@example('{"way": true, "episodes": [{"query": "a", "classes": [1], '
         '"supports": [["b"]]}]}')
@example('{"episodes": [{"query": "a", "classes": [true], "supports": [["b"]]}]}')
@example('{"episodes": [{"query": "a", "classes": [1.0], "supports": [["b"]]}]}')
@example('[' * 100000)
@example('1' * 5000)
def test_episode_files(tmp_path: Path, data: object) -> None:
    path = tmp_path / 'episodes.json'
    if isinstance(data, str):
        path.write_text(data)
        with pytest.raises(ValueError, match=str(path)):
            read_episodes(path, HEAD, str)
        return
    path.write_bytes(data.draw(
        st.just(json.dumps(replaced(EPISODES, data.draw)).encode())
        | damaged(json.dumps(EPISODES).encode())))
    with one_clear_error(str(path)):
        for episode in read_episodes(path, HEAD, str):
            (number, ), ((support, ), ) = episode.classes, episode.supports
            assert type(number) is int and number in (1, 2)
            assert isinstance(episode.query, str) and support != episode.query


# ------------------------------------------------------------- annotations
SIZE = (4, 5)
BOX = [0, 0, 3, 0, 3, 3, 0, 3]
RUNS = dict(size=list(SIZE), counts=[3, 5, 12])
COCO = dict(
    images=[dict(id=1, file_name='1.jpg', height=4, width=5)],
    categories=[dict(id=7, name='ant')],
    annotations=[
        dict(id=1, image_id=1, category_id=7, area=9, iscrowd=0, segmentation=[BOX]),
        dict(id=2, image_id=1, category_id=7, area=5, iscrowd=1, segmentation=RUNS),
        dict(id=3, image_id=1, category_id=7, segmentation=dict(
            RUNS, counts='35<'))])


def paint(path: Path) -> None:
    annotations = CocoAnnotations([path], ['ant'], {1})
    if 1 not in annotations:
        return
    label_map = LoadCocoLabelMap().load(
        dict(coco=annotations[1], ori_shape=SIZE, classes=['ant']))[0]
    assert label_map.shape == SIZE and set(np.unique(label_map)) <= {0, 1, 255}


def test_annotations_that_are_right(tmp_path: Path) -> None:
    """Those that are changed below are read."""
    path = write_json(tmp_path / 'coco.json', COCO)
    assert len(CocoAnnotations([path], ['ant'], {1})[1]['objects']) == 3
    paint(path)


@few
@given(st.data())
def test_annotations(tmp_path: Path, data: st.DataObject) -> None:
    """Also where pycocotools, which is C, would write beyond its memory."""
    path = write_json(tmp_path / 'coco.json', replaced(COCO, data.draw))
    with one_clear_error(str(path)):
        paint(path)


segmentations = st.builds(
    lambda counts: dict(size=list(SIZE), counts=counts),
    st.lists(st.integers(-30, 30) | st.sampled_from([2**31, 2**32, 10**30, True, 1.5]),
             max_size=6) | st.text(max_size=8)
    | st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=9)
) | st.lists(
    st.lists(st.floats() | st.integers(-9, 9), max_size=9), max_size=3) | anything


@few
@given(segmentations)
@example(dict(size=list(SIZE), counts=[-5, 25]))
@example(dict(size=list(SIZE), counts='o' * 40))
def test_segmentations(tmp_path: Path, segmentation: object) -> None:
    path = write_json(tmp_path / 'coco.json', dict(COCO, annotations=[
        dict(COCO['annotations'][0], segmentation=segmentation)]))
    with one_clear_error(str(path)):
        paint(path)


@few
@given(st.sampled_from(['images', 'annotations', 'categories']),
       st.sampled_from(['id', 'height', 'image_id', 'category_id', 'iscrowd', 'area']),
       anything)
@example('annotations', 'area', 10**400)
def test_values_of_annotations(
        tmp_path: Path, part: str, key: str, value: object) -> None:
    items = [dict(COCO[part][0], **{key: value}), *COCO[part][1:]]
    path = write_json(tmp_path / 'coco.json', {**COCO, part: items})
    with one_clear_error(str(path)):
        paint(path)


@pytest.mark.parametrize(('part', 'key', 'value'), [
    ('images', 'height', -4), ('images', 'height', True), ('images', 'width', 10**9),
    ('images', 'height', 4.5), ('images', 'id', '1'), ('annotations', 'id', 2),
    ('annotations', 'id', 'x'), ('annotations', 'iscrowd', '0'),
    ('annotations', 'category_id', True), ('categories', 'id', True)])
def test_nonsense_in_annotations(
        tmp_path: Path, part: str, key: str, value: object) -> None:
    """What a program could go on with is refused, too."""
    items = [dict(COCO[part][0], **{key: value}), *COCO[part][1:]]
    path = write_json(tmp_path / 'coco.json', {**COCO, part: items})
    with pytest.raises(ValueError, match=rf'{path}.*{key}'):
        paint(path)


# ------------------------------------------------------------- masks and images
MODES = ('1', 'L', 'LA', 'P', 'RGB', 'RGBA', 'CMYK', 'I;16', 'I', 'F', 'YCbCr')


@st.composite
def pictures(draw) -> Image.Image:
    """Of a few pixels, in any mode, of any values."""
    width, height = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    values = draw(st.lists(
        st.sampled_from([0, 0, 1, 2, 128, 255]), min_size=width * height,
        max_size=width * height))
    grey = Image.fromarray(np.array(values, np.uint8).reshape(height, width))
    mode = draw(st.sampled_from(MODES))
    return grey.convert(mode) if mode != 'I;16' else Image.fromarray(
        np.array(values, np.uint16).reshape(height, width) * 257)


def encoded(picture: Image.Image) -> bytes:
    content = io.BytesIO()
    picture.save(content, dict(CMYK='JPEG', YCbCr='JPEG', F='TIFF', I='TIFF').get(
        picture.mode, 'PNG'))
    return content.getvalue()


@few
@given(pictures().map(encoded).flatmap(
    lambda content: st.just(content) | damaged(content)), st.booleans())
def test_mask_files(tmp_path: Path, content: bytes, known: bool) -> None:
    """Label maps and masks of objects, of the image's size or not."""
    path = tmp_path / 'mask.png'
    path.write_bytes(content)
    results = dict(seg_map_path=str(path), classes=['ant', 'bee'])
    if known:
        results['ori_shape'] = (3, 3)
    with one_clear_error(str(path)):
        label_map, labels = LoadLabelMap().load(dict(results))
        assert label_map.dtype == np.uint8 and labels <= {0, 1, 2, 255}
    for threshold in (None, 1, 255):
        with one_clear_error(str(path)):
            mask, labels = LoadObjectMask(threshold).load(
                dict(results, object_class=2))
            assert labels == {2} and 1 in mask and set(np.unique(mask)) <= {0, 1, 255}


@few
@given(pictures().map(encoded).flatmap(
    lambda content: st.just(content) | damaged(content)))
def test_image_files(tmp_path: Path, content: bytes) -> None:
    """An image has three channels, whatever the file has."""
    path = tmp_path / 'image.png'
    path.write_bytes(content)
    load = dict(type='LoadImageFromFile', imdecode_backend='pillow')
    pipeline = ImagePipeline(
        [dict(type='EpisodeTransform', query=[load], support=[load])], 'query')
    with one_clear_error(str(path)):
        image = pipeline(path).original
        assert image.dtype == np.uint8 and image.shape[2:] == (3, )


def test_decompression_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file of many pixels is refused before its pixels are made."""
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 1000)
    path = tmp_path / 'bomb.png'
    Image.new('1', (100, 100)).save(path)
    with pytest.raises(ValueError, match='it is too large.*10000 pixels'):
        read_image(str(path))
    with pytest.raises(ValueError, match='too large'):
        LoadImageFromFile(imdecode_backend='pillow')(dict(img_path=str(path)))
    with pytest.raises(ValueError, match=r'bomb\.png.*10000 pixels'):
        LoadLabelMap().load(dict(seg_map_path=str(path), classes=['a']))
