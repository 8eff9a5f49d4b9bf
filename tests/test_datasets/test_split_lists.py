"""Reading lists of ``name__class``."""
from __future__ import annotations

from pathlib import Path

import pytest

from mmwsfs.datasets.split_lists import fold_classes, read_split_list


@pytest.mark.parametrize(('fold', 'first'), [(0, 1), (1, 6), (2, 11), (3, 16)])
def test_fold_classes(fold: int, first: int) -> None:
    """Fold i of Pascal-5i holds out 5i+1..5i+5."""
    assert list(fold_classes(fold, 20)) == list(range(first, first + 5))


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
