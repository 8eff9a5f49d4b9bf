"""LoadLabelMap: the classes of the lists are those that the mask shows."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmwsfs.datasets import LoadLabelMap
from mmwsfs.datasets.split_lists import read_split_list

CLASSES = ('ant', 'bee', 'cow')
LISTS = [(split, fold) for split in ('trn', 'val') for fold in range(4)]


def load(path: Path, label_map: list[list[int]], labels: list[int]) -> dict:
    Image.fromarray(np.array(label_map, np.uint8)).save(path)
    return LoadLabelMap()(dict(
        seg_map_path=str(path), classes=CLASSES, seg_fields=[], labels=labels))


@pytest.mark.parametrize('labels', [[], [1], [3], [1, 3]])
def test_mask_that_shows_its_classes(tmp_path: Path, labels: list[int]) -> None:
    """The lists need not name all classes of an image: they hold a split's alone."""
    results = load(tmp_path / 'mask.png', [[0, 1], [3, 255]], labels)
    assert results['seg_labels'] == {0, 1, 3, 255}


@pytest.mark.parametrize(('label_map', 'labels', 'missing'), [
    ([[0, 255], [255, 0]], [2], "class 2 ('bee')"),  # black and white
    ([[0, 1], [2, 0]], [3], "class 3 ('cow')"),  # instances
    ([[0, 1], [1, 255]], [1, 2, 3], "class 2 ('bee'), class 3 ('cow')"),
    ([[0, 0], [0, 0]], [1], "class 1 ('ant')"),
])
def test_mask_that_does_not(
        tmp_path: Path, label_map: list[list[int]], labels: list[int],
        missing: str) -> None:
    """It would train and test on "absent" alone; the file and the values are named."""
    with pytest.raises(ValueError) as error:
        load(tmp_path / 'mask.png', label_map, labels)
    values = sorted({value for row in label_map for value in row})
    assert f"mask.png' with the values {values} does not show {missing}, for which" in (
        str(error.value))
    assert 'paint each class with its number' in str(error.value)


@pytest.mark.parametrize(('split', 'fold'), LISTS)
def test_no_entry_of_the_real_lists_is_refused(
        shared_data: Path, split: str, fold: int) -> None:
    """Photographs by the published lists' excerpt, and their real masks."""
    classes = tuple('abcdefghijklmnopqrst')
    labels: dict[str, set[int]] = {}
    path = shared_data / f'splits/pascal5i_subset/{split}/fold{fold}.txt'
    for name, number in read_split_list(path, 20):
        labels.setdefault(name, set()).add(number)
    folder = shared_data / 'VOCdevkit/VOC2012/SegmentationClassAug'
    for name, numbers in labels.items():
        results = LoadLabelMap()(dict(
            seg_map_path=str(folder / f'{name}.png'), classes=classes, seg_fields=[],
            labels=sorted(numbers)))
        assert numbers <= results['seg_labels']
