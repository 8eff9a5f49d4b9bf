"""Tag files: what is read, and one clear error for each way to damage them."""
from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from mmwsfs.datasets.tag_file import read_tags

TAGS = {'kitchen/1.jpg': ('mug', 'tea spoon'), 'ä b.jpg': ('mug', )}


def test_csv_and_json_say_the_same(tmp_path: Path) -> None:
    """Spaces, repetitions, ./, a spreadsheet's BOM and further columns do not count."""
    (tmp_path / 'tags.csv').write_text(
        'image,note,labels\n./kitchen/1.jpg,"a, b", mug; tea spoon ;mug;\n'
        'ä b.jpg,,mug\n', encoding='utf-8-sig')
    (tmp_path / 'tags.JSON').write_text(
        json.dumps(TAGS, ensure_ascii=False), encoding='utf-8')
    assert read_tags(tmp_path / 'tags.csv') == TAGS
    assert read_tags(tmp_path / 'tags.JSON') == TAGS
    assert list(read_tags(tmp_path / 'tags.csv')) == list(TAGS)  # in the file's order


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
@pytest.mark.parametrize('form', ['NFC', 'NFD'])
@pytest.mark.parametrize('name', ['tags.csv', 'tags.json', 'escaped.json'])
def test_text_of_other_programs(
        tmp_path: Path, name: str, form: str, encoding: str) -> None:
    """Any encoding with a mark, and letters composed in any way, are the same."""
    tags = {'Küche/größer.jpg': ['Löffel', 'mug'], 'b,\nc.jpg': ['mug']}
    if name == 'tags.csv':
        text = 'image,labels\r\nKüche/größer.jpg,Löffel;mug\r\n"b,\nc.jpg",mug\r\n'
    else:
        tags = {unicodedata.normalize(form, image): [
            unicodedata.normalize(form, label) for label in labels]
            for image, labels in tags.items()}
        text = json.dumps(tags, ensure_ascii=name == 'escaped.json')
    (tmp_path / name).write_bytes(unicodedata.normalize(form, text).encode(encoding))
    assert read_tags(tmp_path / name) == {
        'Küche/größer.jpg': ('Löffel', 'mug'), 'b,\nc.jpg': ('mug', )}


def test_one_image_in_two_forms(tmp_path: Path) -> None:
    """It is there twice, though the bytes differ."""
    nfd = unicodedata.normalize('NFD', 'ü.jpg')
    (tmp_path / 'tags.csv').write_text(f'image,labels\nü.jpg,mug\n{nfd},cup\n')
    with pytest.raises(ValueError, match="line 3: image 'ü.jpg' is there twice"):
        read_tags(tmp_path / 'tags.csv')


@pytest.mark.parametrize('content, message', [
    ('image;labels\na.jpg;mug\n', r"no column 'image', only \['image;labels'\]"),
    ('image,tags\na.jpg,mug\n', r"no column 'labels', only \['image', 'tags'\]"),
    ('', "no column 'image'"),
    ('image,labels\n', 'names no image'),
    ('image,labels\na.jpg,mug\nb.jpg, ; \n', r"line 3: image 'b.jpg' with labels \[\]"),
    ('image,labels\na.jpg,mug\nb.jpg\n', "line 3: image 'b.jpg'"),
    ('image,labels\n,mug\n', "line 2: image ''"),
    ('image,labels\na.jpg,mug\nb.jpg,cup\n./a.jpg,cup\n',
     "line 4: image 'a.jpg' is there twice"),
    ('image,labels\na.jpg,mug,cup\n', "line 2: more cells than columns.*';'"),
    ('image,labels\n"a.jpg,mug\n', r"tags.csv' is damaged or no CSV"),
    (b'image,labels\n\xe4.jpg,mug\n', r"tag file '.*tags.csv' is no UTF-8 text"),
])
def test_bad_csv(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = tmp_path / 'tags.csv'
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message):
        read_tags(path)


@pytest.mark.parametrize('content, message', [
    ('{"a.jpg": ["mug"', "tags.json' is truncated or no JSON"),
    ('["a.jpg"]', 'must be a JSON object of image -> list of labels'),
    ('{}', 'names no image'),
    ('{"a.jpg": "mug"}', "labels of image 'a.jpg' must be a list of names, not 'mug'"),
    ('{"a.jpg": [3]}', r"labels of image 'a.jpg' must be a list of names, not \[3\]"),
    ('{"a.jpg": {"mug": 1}}', "labels of image 'a.jpg' must be a list"),
    ('{"a.jpg": []}', r"image 'a.jpg' with labels \[\]"),
    ('{"a.jpg": ["mug"], "a.jpg": ["cup"]}', "the key 'a.jpg' twice"),
])
def test_bad_json(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / 'tags.json').write_text(content)
    with pytest.raises(ValueError, match=message):
        read_tags(tmp_path / 'tags.json')


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"tags\.csv' does not exist"):
        read_tags(tmp_path / 'tags.csv')
    with pytest.raises(ValueError, match=r"tags\.txt' must end with .csv or .json"):
        read_tags(tmp_path / 'tags.txt')
