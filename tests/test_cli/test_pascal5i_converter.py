"""mmwsfs convert pascal5i: split lists, copied or made."""
from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmwsfs.cli.convert import main

SCRIPT = Path(__file__).parents[2] / 'tools/dataset_converters/pascal5i.py'
VOC = 'VOCdevkit/VOC2012'
LISTS = [f'{split}/fold{fold}.txt' for split in ('trn', 'val') for fold in range(4)]


def convert(*args) -> None:
    """Run the command in this process."""
    main(['pascal5i', *map(str, args)])


def counted(voc: Path, split: str, fold: int, min_area: int) -> set[str]:
    """Entries of a fold by an independent count of pixels."""
    entries = set()
    for name in stems(voc.parents[1], split):
        with Image.open(voc / 'SegmentationClassAug' / f'{name}.png') as image:
            pixels = np.array(image)
        for number in range(5 * fold + 1, 5 * fold + 6):
            if (pixels == number).sum() >= min_area:
                entries.add(f'{name}__{number:02d}')
    return entries


def stems(tiny_voc: Path, split: str) -> list[str]:
    """Names of the images that were made for a split."""
    return sorted(
        path.stem for path in (tiny_voc / VOC / 'JPEGImages').glob(f'{split}_*.jpg'))


@pytest.fixture
def voc(tiny_voc: Path, tmp_path: Path) -> Path:
    """``VOC2012`` of ``tiny_voc``, with a list of test images where VOC has it."""
    voc = tmp_path / VOC
    lists = voc / 'ImageSets/Segmentation'
    lists.mkdir(parents=True)
    (lists / 'val.txt').write_text('\n'.join(stems(tiny_voc, 'val')) + '\n')
    for folder in ('JPEGImages', 'SegmentationClassAug'):
        (voc / folder).symlink_to(tiny_voc / VOC / folder)
    return voc


@pytest.fixture
def lists(tiny_voc: Path, tmp_path: Path) -> Path:
    """The lists of ``tiny_voc``, for the test to change."""
    return Path(shutil.copytree(tiny_voc / 'splits/tiny', tmp_path / 'lists'))


# ------------------------------------------------------------- --lists
def test_published_lists_are_copied(
        shared_data: Path, tmp_path: Path,
        capsys: pytest.CaptureFixture) -> None:
    """All eight lists arrive line by line, and the counts are printed."""
    source = shared_data / 'splits/pascal5i'
    convert(tmp_path / 'out', '--lists', source)
    for name in LISTS:
        assert (tmp_path / 'out' / name).read_text().split() == (
            source / name).read_text().split()
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 8
    assert any('trn/fold2.txt: 5883 entries' in line and '5 classes' in line
               for line in printed)


def test_lists_from_a_url(tiny_voc: Path, tmp_path: Path) -> None:
    """A URL under which the lists lie is as good as a folder."""
    source = tiny_voc / 'splits/tiny'
    convert(tmp_path / 'out', '--lists', f'{source.as_uri()}/')
    for name in LISTS:
        assert (tmp_path / 'out' / name).read_text() == (source / name).read_text()


@pytest.mark.parametrize(('text', 'message'), [
    ('a__06\nb__16\n', r'fold1\.txt:2: .*class 16'),
    ('a__06\nnonsense\n', r'fold1\.txt:2: .*name__class'),
    ('', r'fold1\.txt. is empty'),
])
def test_lists_are_checked(
        lists: Path, tmp_path: Path, text: str, message: str) -> None:
    """Lists that the dataset could not read are not accepted."""
    (lists / 'val/fold1.txt').write_text(text)
    with pytest.raises(SystemExit, match=message):
        convert(tmp_path / 'out', '--lists', lists)


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16'])
def test_no_byte_order_mark_is_copied(
        lists: Path, tiny_voc: Path, tmp_path: Path, encoding: str) -> None:
    """It would be a part of the first image's name for whoever reads the copy."""
    for name in LISTS:
        (lists / name).write_bytes((lists / name).read_text().encode(encoding))
    convert(tmp_path / 'out', '--lists', lists)
    for name in LISTS:
        assert (tmp_path / 'out' / name).read_bytes() == (
            tiny_voc / 'splits/tiny' / name).read_bytes()


def test_list_that_is_no_text(lists: Path, tmp_path: Path) -> None:
    (lists / 'val/fold1.txt').write_bytes('größer__06'.encode('latin-1'))
    with pytest.raises(SystemExit, match="list 'val/fold1.txt' is no UTF-8 text"):
        convert(tmp_path / 'out', '--lists', lists)


def test_a_list_is_missing(lists: Path, tmp_path: Path) -> None:
    """The missing list is named."""
    (lists / 'val/fold3.txt').unlink()
    with pytest.raises((FileNotFoundError, SystemExit), match=r'val/fold3\.txt'):
        convert(tmp_path / 'out', '--lists', lists)


# ------------------------------------------------------------- --masks
@pytest.mark.parametrize('min_area', [100, 300])
def test_lists_from_masks(voc: Path, tmp_path: Path, min_area: int) -> None:
    """An image is listed for the classes that cover the area: main ones, or all."""
    out = tmp_path / 'out'
    convert(out, '--masks', voc, '--min-area', min_area)
    for split in ('trn', 'val'):
        for fold in range(4):
            lines = (out / f'{split}/fold{fold}.txt').read_text().split()
            assert len(set(lines)) == len(lines) == {100: 20, 300: 15}[min_area]
            assert set(lines) == counted(voc, split, fold, min_area)


def test_the_dataset_reads_the_lists(
        voc: Path, tiny_voc: Path, tmp_path: Path, tiny_dataset) -> None:
    """What the script makes is what the dataset takes."""
    convert(tmp_path / 'out', '--masks', voc, '--min-area', 100)
    for split in ('trn', 'val'):
        made, tiny = (
            tiny_dataset(lists=str(lists), fold=2, split=split)
            for lists in (tmp_path / 'out', tiny_voc / 'splits/tiny'))
        assert made.labels_of == tiny.labels_of


def test_named_image_files(voc: Path, tmp_path: Path) -> None:
    """The images of both splits can be named, here the wrong way round."""
    for split, other in (('trn', 'val'), ('val', 'trn')):
        (tmp_path / f'{split}.txt').write_text('\n'.join(stems(voc.parents[1], other)))
    out = tmp_path / 'out'
    convert(out, '--masks', voc, '--min-area', 300,
            '--val-images', tmp_path / 'val.txt',
            '--train-images', tmp_path / 'trn.txt')
    for split, other in (('trn', 'val'), ('val', 'trn')):
        for fold in range(4):
            lines = (out / f'{split}/fold{fold}.txt').read_text().split()
            assert set(lines) == counted(voc, other, fold, 300)


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16'])
def test_image_lists_of_other_programs(
        voc: Path, tmp_path: Path, encoding: str) -> None:
    """A byte-order mark is no part of the first name, nor a hidden file a mask."""
    def make(out: str) -> dict[str, str]:
        convert(tmp_path / out, '--masks', voc, '--min-area', 300)
        return {name: (tmp_path / out / name).read_text() for name in LISTS}

    expected = make('plain')
    file = voc / 'ImageSets/Segmentation/val.txt'
    file.write_bytes(file.read_text().encode(encoding))
    masks = voc / 'SegmentationClassAug'
    folder = masks.resolve()
    masks.unlink()
    shutil.copytree(folder, masks)
    (masks / '._trn_01_1.png').write_bytes(b'\0\5\x16\7')
    assert make('marked') == expected


def test_default_area(tmp_path: Path) -> None:
    """2048 pixels if nothing is said: 2047 are too few."""
    masks = tmp_path / 'SegmentationClassAug'
    masks.mkdir()
    for split in ('trn', 'val'):
        for fold in range(4):
            label_map = np.repeat(np.arange(5 * fold + 1, 5 * fold + 6), 32)[:, None]
            label_map = np.tile(label_map, 64).astype(np.uint8)
            Image.fromarray(label_map).save(masks / f'{split}_{fold}_large.png')
            label_map[::32, 0] = 255
            Image.fromarray(label_map).save(masks / f'{split}_{fold}_small.png')
    names = [path.stem for path in masks.glob('val_*')]
    (tmp_path / 'val.txt').write_text('\n'.join(names))
    convert(tmp_path / 'out', '--masks', tmp_path, '--val-images',
            tmp_path / 'val.txt')
    for split in ('trn', 'val'):
        for fold in range(4):
            lines = (tmp_path / f'out/{split}/fold{fold}.txt').read_text().split()
            assert sorted(lines) == [f'{split}_{fold}_large__{number:02d}'
                                     for number in range(5 * fold + 1, 5 * fold + 6)]


# ------------------------------------------------------------- errors
def test_area_that_nothing_covers(voc: Path, tmp_path: Path) -> None:
    """Empty lists are not made silently."""
    with pytest.raises((ValueError, SystemExit), match='is empty'):
        convert(tmp_path / 'out', '--masks', voc)


def test_missing_val_images(tiny_voc: Path, tmp_path: Path, capsys) -> None:
    """Without the list of test images the script says what to name."""
    with pytest.raises(SystemExit):
        convert(tmp_path / 'out', '--masks', tiny_voc / VOC)
    error = capsys.readouterr().err
    assert 'ImageSets/Segmentation/val.txt' in error and '--val-images' in error


def test_missing_masks(voc: Path, tmp_path: Path, capsys) -> None:
    """The folder is named, not an empty list that would come of it."""
    (voc / 'SegmentationClassAug').unlink()
    with pytest.raises(SystemExit):
        convert(tmp_path / 'out', '--masks', voc)
    error = capsys.readouterr().err
    assert f"'{voc / 'SegmentationClassAug'}' does not exist: --masks names" in error
    assert not (tmp_path / 'out').exists()


def test_image_without_mask(voc: Path, tmp_path: Path) -> None:
    """A listed image without mask is named, with the file that lists it."""
    (tmp_path / 'val.txt').write_text('val_01_1\n2012_000001\n')
    with pytest.raises(SystemExit, match=r"val\.txt' names '2012_000001'.*is missing"):
        convert(tmp_path / 'out', '--masks', voc, '--min-area', 100,
                '--val-images', tmp_path / 'val.txt')


@pytest.mark.parametrize('args', [[], ['--lists', 'a', '--masks', 'b']])
def test_one_source(tmp_path: Path, args: list[str], capsys) -> None:
    """One of the two sources has to be chosen."""
    with pytest.raises(SystemExit):
        convert(tmp_path / 'out', *args)
    assert '--lists' in capsys.readouterr().err


def test_command_line(tiny_voc: Path, tmp_path: Path) -> None:
    """Its front runs by itself, from any folder."""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', str(SCRIPT), 'out', '--lists',
         str(tiny_voc / 'splits/tiny')],
        cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.count('20 entries, 15 images, 5 classes') == 8
    assert (tmp_path / 'out/val/fold0.txt').is_file()
