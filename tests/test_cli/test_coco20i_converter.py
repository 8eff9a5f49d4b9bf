"""mmwsfs convert coco20i: split lists, copied or made."""
from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mmwsfs.cli.convert import main
from mmwsfs.datasets import Coco20iDataset
from mmwsfs.datasets.coco20i import COCO_CLASSES

SCRIPT = Path(__file__).parents[2] / 'tools/dataset_converters/coco20i.py'
LISTS = [
    f'{split}/fold{fold}.json.gz' for split in ('trn', 'val') for fold in range(4)]


def convert(*args) -> None:
    """Run the command in this process."""
    main(['coco20i', *map(str, args)])


def read(path: Path) -> dict[str, list[str]]:
    with gzip.open(path) as file:
        return json.load(file)


def coco_file(path: Path, areas: dict[int, list[tuple[str, float, int]]],
              name: str = '{:012d}.jpg') -> Path:
    """A COCO JSON: image id -> (class, area, crowd) of its objects."""
    path.write_text(json.dumps(dict(
        images=[dict(id=n, file_name=name.format(n), height=99, width=99)
                for n in areas],
        annotations=[
            dict(id=100 * n + k, image_id=n, category_id=COCO_CLASSES.index(label) + 11,
                 area=area, iscrowd=crowd, segmentation=[[0, 0, 9, 0, 9, 9]])
            for n, objects in areas.items()
            for k, (label, area, crowd) in enumerate(objects)],
        categories=[dict(id=n, name=name)
                    for n, name in enumerate(COCO_CLASSES, start=11)])))
    return path


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """Eight short lists, for the test to change."""
    for split in ('trn', 'val'):
        for fold in range(4):
            content = {str(n): [f'COCO_{split}_{n:012d}.jpg', '90.jpg']
                       if (n % 4 == fold) == (split == 'val') else []
                       for n in range(80)}
            write(tmp_path / 'lists' / split / f'fold{fold}.json.gz', content)
    return tmp_path / 'lists'


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(json.dumps(content).encode()))


# ------------------------------------------------------------- --lists
def test_published_lists_are_copied(
        shared_data: Path, tmp_path: Path,
        capsys: pytest.CaptureFixture) -> None:
    """All eight lists arrive byte by byte, and the counts are printed."""
    source = shared_data / 'splits/coco20i'
    convert(tmp_path / 'out', '--lists', source)
    for name in LISTS:
        assert (tmp_path / 'out' / name).read_bytes() == (source / name).read_bytes()
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 8
    for number, (split, fold) in enumerate((s, f) for s in ('trn', 'val')
                                           for f in range(4)):
        content = read(source / split / f'fold{fold}.json.gz')
        images = {name for names in content.values() for name in names}
        classes = dict(trn=60, val=20)[split]
        assert printed[number].endswith(
            f'{split}/fold{fold}.json.gz: {sum(map(len, content.values()))} entries, '
            f'{len(images)} images, {classes} classes')


def test_lists_from_a_url(lists: Path, tmp_path: Path) -> None:
    """A URL under which the lists lie is as good as a folder."""
    convert(tmp_path / 'out', '--lists', f'{lists.as_uri()}/')
    for name in LISTS:
        assert (tmp_path / 'out' / name).read_bytes() == (lists / name).read_bytes()


@pytest.mark.parametrize(('content', 'message'), [
    ({'2': ['1.jpg']}, r'val/fold1\.json\.gz.*class index 2, which is not in this'),
    ({'1': ['cat.jpg']}, r"val/fold1\.json\.gz': image 'cat\.jpg' does not end with"),
    ({'1': []}, r"val/fold1\.json\.gz' is empty"),
    (['1.jpg'], r"val/fold1\.json\.gz' is damaged or no gzipped JSON"),
])
def test_lists_are_checked(
        lists: Path, tmp_path: Path, content: object, message: str) -> None:
    """Lists that the dataset could not read are not accepted."""
    write(lists / 'val/fold1.json.gz', content)
    with pytest.raises(SystemExit, match=message):
        convert(tmp_path / 'out', '--lists', lists)
    assert not (tmp_path / 'out/val/fold1.json.gz').exists()


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16'])
def test_no_byte_order_mark_is_copied(
        lists: Path, tmp_path: Path, encoding: str) -> None:
    """Other readers of JSON stop at one."""
    expected = read(lists / 'val/fold1.json.gz')
    (lists / 'val/fold1.json.gz').write_bytes(
        gzip.compress(json.dumps(expected).encode(encoding)))
    convert(tmp_path / 'out', '--lists', lists)
    content = gzip.decompress((tmp_path / 'out/val/fold1.json.gz').read_bytes())
    assert content == json.dumps(expected).encode()


@pytest.mark.parametrize('as_url', [False, True])
def test_a_list_is_missing(lists: Path, tmp_path: Path, as_url: bool) -> None:
    """The missing list is named, and what is asked for."""
    (lists / 'val/fold3.json.gz').unlink()
    source = lists.as_uri() if as_url else lists
    with pytest.raises(SystemExit, match=r"lists/val/fold3\.json\.gz' cannot be read: "
                       r'--lists names a folder or URL with trn/fold0\.json\.gz'):
        convert(tmp_path / 'out', '--lists', source)


# ------------------------------------------------------------- --annotations
def test_lists_from_annotations(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Objects of a class count together, crowds do not, and 2048 pixels will do."""
    train = coco_file(tmp_path / 'train.json', {
        9: [('cat', 2048, 0)],
        5: [('cat', 1000, 0), ('dog', 2047.9, 0), ('cat', 1048, 0)],
        7: [('dog', 5000, 1), ('dog', 100, 0), ('bicycle', 3000, 0)],
        8: []})
    val = coco_file(tmp_path / 'val.json', {
        12: [(label, 9000, 0) for label in COCO_CLASSES], 11: [('dog', 2047, 0)]},
        name='COCO_val2014_{:012d}.jpg')
    out = tmp_path / 'out'
    convert(out, '--annotations', train, val)
    cat, bicycle = COCO_CLASSES.index('cat'), COCO_CLASSES.index('bicycle')
    for fold in range(4):
        trn = read(out / f'trn/fold{fold}.json.gz')
        assert list(trn) == [str(n) for n in range(80)]
        expected = {cat: ['000000000005.jpg', '000000000009.jpg'],
                    bicycle: ['000000000007.jpg']}
        assert trn == {str(n): expected.get(n, []) if n % 4 != fold else []
                       for n in range(80)}
        assert read(out / f'val/fold{fold}.json.gz') == {
            str(n): ['COCO_val2014_000000000012.jpg'] if n % 4 == fold else []
            for n in range(80)}
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 8
    assert printed[0].endswith('trn/fold0.json.gz: 3 entries, 3 images, 2 classes')
    assert printed[7].endswith('val/fold3.json.gz: 20 entries, 1 images, 20 classes')


def test_areas_that_are_missing(tmp_path: Path) -> None:
    """They are those of the segmentations: here a triangle of some 40 pixels."""
    file = coco_file(tmp_path / 'a.json', {
        n: [(label, 9999, 0) for label in COCO_CLASSES] for n in (1, 2)})
    content = json.loads(file.read_text())
    for annotation in content['annotations']:
        if annotation['image_id'] == 2:
            annotation['area'] = None
    file.write_text(json.dumps(content))
    for area, images in ((30, [1, 2]), (60, [1])):
        convert(tmp_path / str(area), '--annotations', file, file,
                '--min-area', area)
        assert read(tmp_path / f'{area}/val/fold0.json.gz')['0'] == [
            f'{image:012d}.jpg' for image in images]


def test_min_area_and_repetition(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another area; and the same input gives the same bytes, at any time."""
    file = coco_file(tmp_path / 'a.json', {
        n: [(label, 10 * n, 0) for label in COCO_CLASSES] for n in (1, 2, 3)})
    for out in ('first', 'second'):
        convert(tmp_path / out, '--annotations', file, file, '--min-area',
                20)
        monkeypatch.setattr('time.time', lambda: 5e9)
    for name in LISTS:
        content = (tmp_path / 'first' / name).read_bytes()
        assert content == (tmp_path / 'second' / name).read_bytes()
        assert all(names in ([], ['000000000002.jpg', '000000000003.jpg'])
                   for names in read(tmp_path / 'first' / name).values())


def test_real_annotations(shared_data: Path, tmp_path: Path) -> None:
    """Real annotations by plain JSON; and the dataset reads the lists."""
    file = shared_data / 'coco/annotations/instances_subset.json'
    convert(tmp_path / 'out', '--annotations', file, file)
    content = json.loads(file.read_text())
    names = {c['id']: c['name'] for c in content['categories']}
    files = {image['id']: image['file_name'] for image in content['images']}
    areas = {(label, n): 0.0 for label in COCO_CLASSES for n in sorted(files)}
    for a in content['annotations']:
        areas[names[a['category_id']], a['image_id']] += (1 - a['iscrowd']) * a['area']
    large = {label: [] for label in COCO_CLASSES}
    for (label, n), area in areas.items():
        if area >= 2048:
            large[label].append(files[n])
    for fold in range(4):
        for split in ('trn', 'val'):
            assert read(tmp_path / 'out' / split / f'fold{fold}.json.gz') == {
                str(i): large[label] if (i % 4 == fold) == (split == 'val') else []
                for i, label in enumerate(COCO_CLASSES)}
        dataset = Coco20iDataset(
            data_root=str(shared_data), lists=str(tmp_path / 'out'), fold=fold,
            split='val', masks='none', pipeline=[], restrict_to_existing=True,
            num_episodes=5)
        assert {int(entry['name']) for entry in dataset.data_list} <= set(files)
        assert len({dataset.draw(j).query for j in range(30)}) > 10


# ------------------------------------------------------------- errors
def test_area_that_nothing_covers(shared_data: Path, tmp_path: Path) -> None:
    """Empty lists are not made silently."""
    file = shared_data / 'coco/annotations/instances_subset.json'
    with pytest.raises(SystemExit, match=r"trn/fold0\.json\.gz' is empty"):
        convert(tmp_path / 'out', '--annotations', file, file,
                '--min-area', 1e9)


@pytest.mark.parametrize('name', ['img_1{:05d}.jpg', '{:03d}_1.jpg', 'cat.jpg'])
def test_file_names_without_the_id(tmp_path: Path, name: str) -> None:
    """Images that the dataset could not find by their id are refused."""
    file = coco_file(tmp_path / 'a.json', {5: [('cat', 5000, 0)]}, name)
    with pytest.raises((SystemExit, ValueError), match='end with'):
        convert(tmp_path / 'out', '--annotations', file, file)


def test_truncated_annotations(tmp_path: Path) -> None:
    """The file is named."""
    file = coco_file(tmp_path / 'a.json', {5: [('cat', 5000, 0)]})
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(SystemExit, match=r"a\.json' is truncated or no COCO JSON"):
        convert(tmp_path / 'out', '--annotations', file, file)


@pytest.mark.parametrize('args', [
    [], ['--annotations', 'a'], ['--lists', 'a', '--annotations', 'b', 'c']])
def test_one_source(
        tmp_path: Path, args: list[str], capsys: pytest.CaptureFixture) -> None:
    """One of the two sources has to be chosen."""
    with pytest.raises(SystemExit):
        convert(tmp_path / 'out', *args)
    assert '--annotations' in capsys.readouterr().err


def test_command_line(lists: Path, tmp_path: Path) -> None:
    """Its front runs by itself, from any folder."""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', str(SCRIPT), 'out', '--lists', 'lists'],
        cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.count('40 entries, 21 images, 20 classes') == 4
    assert (tmp_path / 'out/val/fold0.json.gz').is_file()
