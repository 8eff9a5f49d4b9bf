"""Reading lists of ``name__class``, and gzipped JSON of class -> images."""
from __future__ import annotations

import gzip
import json
import unicodedata
from pathlib import Path

import pytest

from mmwsfs.datasets.split_lists import (
    coco_image_name,
    fold_classes,
    read_class_images,
    read_split_list,
    split_classes,
)


@pytest.mark.parametrize(('fold', 'first'), [(0, 1), (1, 6), (2, 11), (3, 16)])
def test_fold_classes(fold: int, first: int) -> None:
    """Fold i of Pascal-5i holds out 5i+1..5i+5."""
    assert list(fold_classes(fold, 20)) == list(range(first, first + 5))


@pytest.mark.parametrize('fold', range(4))
def test_interleaved_fold_classes(fold: int) -> None:
    """Fold i of COCO-20i holds out {i + 4v + 1 : v = 0..19}."""
    assert list(fold_classes(fold, 80, interleaved=True)) == [
        fold + 4 * v + 1 for v in range(20)]


@pytest.mark.parametrize(('num_classes', 'interleaved'), [(20, False), (80, True)])
def test_splits_share_no_class(num_classes: int, interleaved: bool) -> None:
    """Base and novel classes are all classes, and each novel in one fold."""
    novel = []
    for fold in range(4):
        val = split_classes('val', fold, num_classes, interleaved)
        trn = split_classes('trn', fold, num_classes, interleaved)
        assert val == list(fold_classes(fold, num_classes, interleaved))
        assert trn == sorted(trn)
        assert sorted(val + trn) == list(range(1, num_classes + 1))
        novel += val
    assert sorted(novel) == list(range(1, num_classes + 1))


@pytest.mark.parametrize('fold', [-1, 4])
def test_unknown_fold(fold: int) -> None:
    """A wrong fold is refused with the choice."""
    with pytest.raises(ValueError, match=rf'unknown fold {fold}: choose one of 0\.\.3'):
        fold_classes(fold, 20)


def test_indivisible_classes() -> None:
    """A set of classes that does not divide into four folds is refused."""
    with pytest.raises(ValueError, match='18 classes do not divide into 4 folds'):
        fold_classes(0, 18)


COUNTS = {
    'trn': (2286, 3425, 5883, 2086),
    'val': (346, 451, 725, 346),
}


@pytest.mark.parametrize('split', ['trn', 'val'])
@pytest.mark.parametrize('fold', range(4))
def test_published_lists_are_read_whole(
        shared_data: Path, split: str, fold: int) -> None:
    """No entry of a published list is lost, changed or moved."""
    path = shared_data / f'splits/pascal5i/{split}/fold{fold}.txt'
    entries = read_split_list(path, 20)
    assert len(entries) == COUNTS[split][fold]
    assert [f'{name}__{number:02d}' for name, number in entries
            ] == path.read_text().split()


def write(folder: Path, text: str, fold: int = 1) -> Path:
    path = folder / f'fold{fold}.txt'
    path.write_text(text)
    return path


def test_order_blank_lines_and_underscores(tmp_path: Path) -> None:
    """The order is kept (episodes depend on it); names may hold underscores."""
    path = write(tmp_path, 'b__x__06\n\n  a_1__10 \na_1__7\n')
    assert read_split_list(path, 20) == [('b__x', 6), ('a_1', 10), ('a_1', 7)]


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16'])
def test_lists_of_other_programs(tmp_path: Path, encoding: str) -> None:
    """A byte-order mark is no part of the first name, which would then be missing."""
    path = tmp_path / 'fold1.txt'
    path.write_bytes('größer__06\r\nb__07\r\n'.encode(encoding))
    assert read_split_list(path, 20) == [('größer', 6), ('b', 7)]


def test_names_in_one_form(tmp_path: Path) -> None:
    """As they are compared with those of files."""
    name = unicodedata.normalize('NFD', 'größer')
    assert read_split_list(write(tmp_path, f'{name}__06\n'), 20) == [('größer', 6)]


def test_list_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / 'fold1.txt'
    path.write_bytes('größer__06'.encode('latin-1'))
    with pytest.raises(ValueError, match=r"split list '.*fold1\.txt' is no UTF-8 text"):
        read_split_list(path, 20)


def test_missing_list(tmp_path: Path) -> None:
    """The error names the list and how to get it."""
    with pytest.raises(FileNotFoundError, match='fold2.txt.*pascal5i.py'):
        read_split_list(tmp_path / 'fold2.txt', 20)


@pytest.mark.parametrize('text', ['', '\n \n'])
def test_empty_list(tmp_path: Path, text: str) -> None:
    """An empty list is an error, not a dataset of no episodes."""
    with pytest.raises(ValueError, match=r"fold1\.txt' is empty"):
        read_split_list(write(tmp_path, text), 20)


@pytest.mark.parametrize('line', [
    '2007_000032', '2007_000032_06', '2007_000032__', '__06', '2007 32__06',
    '2007_000032__cat', '2007_000032__0006', 'JPEGImages/1.jpg masks/1.png'])
def test_malformed_line(tmp_path: Path, line: str) -> None:
    """The error names file and line, and shows a right one."""
    path = write(tmp_path, f'good__06\n{line}\n')
    with pytest.raises(ValueError, match=r'fold1\.txt:2: .*name__class.*000032__01'):
        read_split_list(path, 20)


@pytest.mark.parametrize('number', [0, 5, 11, 255])
def test_class_out_of_fold(tmp_path: Path, number: int) -> None:
    """Base classes cannot slip into a list of novel ones, nor the other way."""
    path = write(tmp_path, f'good__06\nbad__{number:02d}\n')
    with pytest.raises(ValueError, match=rf'fold1\.txt:2: .* class {number}, but this '
                       r'fold holds classes 6\.\.10'):
        read_split_list(path, 20)


# ------------------------------------------------------------- gzipped JSON
@pytest.mark.parametrize('file', [
    'train2014/COCO_train2014_000000000042.jpg', 'val2017/000000000042.jpg',
    '000000000042.JPG', '42', 'COCO_val2014_000000000042', '/any/9/where/42.jpeg'])
def test_coco_image_name(file: str) -> None:
    """The id, however the releases call the file."""
    assert coco_image_name(file) == '000000000042'


@pytest.mark.parametrize('file', ['', 'cat.jpg', '42/cat.jpg', '42_mask.png', '42.'])
def test_image_without_an_id(file: str) -> None:
    """The error names the image and shows a right name."""
    with pytest.raises(ValueError, match=f"image '{file}' does not end with a COCO id, "
                       'such as 0000'):
        coco_image_name(file)


COCO_COUNTS = {
    'trn': (95476, 133927, 141054, 141016),
    'val': (35783, 17912, 14563, 14315),
}


@pytest.mark.parametrize('split', ['trn', 'val'])
@pytest.mark.parametrize('fold', range(4))
def test_published_coco_lists_are_read_whole(
        shared_data: Path, split: str, fold: int) -> None:
    """No entry of a published list is lost, changed or moved within its class."""
    path = shared_data / f'splits/coco20i/{split}/fold{fold}.json.gz'
    classes = split_classes(split, fold, 80, interleaved=True)
    entries = read_class_images(path, classes)
    assert len(entries) == COCO_COUNTS[split][fold]
    with gzip.open(path) as file:
        content = json.load(file)
    release = {'trn': 'train2014', 'val': 'val2014'}[split]
    assert [(f'{release}/COCO_{release}_{name}.jpg', number)
            for name, number in entries] == [
        (name, number) for number in classes for name in content[str(number - 1)]]
    assert all(not content[str(n)] for n in range(80) if n + 1 not in classes)


def write_gz(folder: Path, content: object) -> Path:
    path = folder / 'fold0.json.gz'
    path.write_bytes(gzip.compress(json.dumps(content).encode()))
    return path


def test_order_of_classes_and_images(tmp_path: Path) -> None:
    """Classes ascend as numbers, whatever the file's order; images keep theirs."""
    path = write_gz(tmp_path, {'8': ['9.jpg', '3.jpg'], '12': ['4'], '0': ['9.jpg']})
    assert read_class_images(path, range(1, 81)) == [
        ('000000000009', 1), ('000000000009', 9), ('000000000003', 9),
        ('000000000004', 13)]


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16'])
def test_coco_lists_of_other_programs(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / 'fold0.json.gz'
    path.write_bytes(gzip.compress('{"0": ["9.jpg"]}'.encode(encoding)))
    assert read_class_images(path, [1]) == [('000000000009', 1)]


def test_missing_coco_list(tmp_path: Path) -> None:
    """The error names the list and how to get it."""
    with pytest.raises(FileNotFoundError, match=r'fold0\.json\.gz.*coco20i\.py'):
        read_class_images(tmp_path / 'fold0.json.gz', [1])


def damaged_bytes(kind: str) -> bytes:
    whole = gzip.compress(json.dumps({'0': [f'{n}.jpg' for n in range(99)]}).encode())
    return {
        'empty': b'', 'cut': whole[:-20], 'cut head': whole[:5],
        'no gzip': gzip.decompress(whole), 'no JSON': gzip.compress(b'{"0": ['),
        'no text': gzip.compress(b'\x80\x04\xff'), 'list': gzip.compress(b'[]'),
        'bad block': whole[:10] + b'\xff\xff' + whole[12:],
        'bad checksum': whole[:-8] + bytes(4) + whole[-4:],
        'pickle': gzip.compress(b'\x80\x04}\x94K\x00]\x94s.'),
    }[kind]


@pytest.mark.parametrize('kind', [
    'empty', 'cut', 'cut head', 'no gzip', 'no JSON', 'no text', 'list', 'bad block',
    'bad checksum', 'pickle'])
def test_damaged_coco_list(tmp_path: Path, kind: str) -> None:
    """A part is never taken for the whole; the error names the list."""
    path = tmp_path / 'fold0.json.gz'
    path.write_bytes(damaged_bytes(kind))
    with pytest.raises(ValueError, match=r"'.*fold0\.json\.gz' is damaged or no gzipp"):
        read_class_images(path, [1])


@pytest.mark.parametrize('content', [{}, {'0': []}, {'0': [], '7': []}])
def test_empty_coco_list(tmp_path: Path, content: dict) -> None:
    """An empty list is an error, not a dataset of no episodes."""
    with pytest.raises(ValueError, match=r"fold0\.json\.gz' is empty"):
        read_class_images(write_gz(tmp_path, content), [1])


@pytest.mark.parametrize(('content', 'message'), [
    ({'0': ['1.jpg'], '1': ['2.jpg']},
     r'images for class index 1, which is not in this split .*: it holds \[0, 4\]'),
    ({'0': ['1.jpg'], 'ant': []}, 'is damaged or no gzipped JSON'),
    ({'0': '1.jpg'}, 'does not give class index 0 a list of image files'),
    ({'0': None}, 'does not give class index 0 a list of image files'),
    ({'0': ['1.jpg', 2]}, 'does not give class index 0 a list of image files'),
    ({'0': ['1.jpg', 'ant.jpg']}, r"image 'ant\.jpg' does not end with a COCO id"),
])
def test_coco_list_that_does_not_fit(
        tmp_path: Path, content: dict, message: str) -> None:
    """The error names list and fault."""
    with pytest.raises(ValueError, match=rf"split list '.*fold0\.json\.gz'.*{message}"):
        read_class_images(write_gz(tmp_path, content), [1, 5])
