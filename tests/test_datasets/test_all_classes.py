"""Training on all classes, and without some of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mmwsfs.datasets.all_classes import entries_without

ALL = dict(split='trn', fold=None)


def test_entries_without() -> None:
    """Each once, in their order, without the images that show a class left out."""
    entries = [('a', 1), ('b', 2), ('a', 1), ('c', 3), ('c', 2), ('a', 3)]
    assert entries_without(entries, set()) == [
        ('a', 1), ('b', 2), ('c', 3), ('c', 2), ('a', 3)]
    assert entries_without(entries, {2}) == [('a', 1), ('a', 3)]


def test_pascal_without_a_fold(tiny_dataset: Callable) -> None:
    """The trn and val lists of all folds: 20 classes of 3 + 3 images."""
    dataset = tiny_dataset(**ALL)
    dataset.full_init()
    assert dataset.class_ids == list(range(1, 21)) and dataset.metainfo['fold'] is None
    assert len(dataset.labels_of) == 20 * 6
    assert '*/fold*.txt' in dataset.source()


def test_pascal_leaves_out(tiny_dataset: Callable) -> None:
    """A class, and every image that is named for it beside another."""
    dataset = tiny_dataset(**ALL, leave_out=['bicycle'])
    dataset.full_init()
    assert 2 not in dataset.class_ids and len(dataset.class_ids) == 19
    # Its own six, and the first image of the class before it in trn and val.
    assert len(dataset.labels_of) == 20 * 6 - 6 - 2
    assert 'trn_01_0' not in dataset.labels_of and 'trn_01_1' in dataset.labels_of


def test_coco_without_a_fold(tiny_coco_dataset: Callable) -> None:
    """Each entry once, though the trn lists of three folds name it."""
    dataset = tiny_coco_dataset(**ALL, num_episodes=None)
    dataset.full_init()
    assert dataset.class_ids == list(range(1, 9))
    entries = [(entry['name'], entry['class_id']) for entry in dataset.data_list]
    assert len(entries) == len(set(entries))
    some = tiny_coco_dataset(**ALL, num_episodes=None, leave_out=['cat'])
    some.full_init()
    shown = {name for name, number in entries if number == 3}
    assert set(some.labels_of) == set(dataset.labels_of) - shown


@pytest.mark.parametrize('settings, message', [
    (dict(fold=None), "fold=None holds out no class, so that split 'val'"),
    (dict(fold=1, leave_out=['bicycle']), 'goes with fold=None alone: fold=1'),
    (dict(ALL, leave_out=['yak']), r"leave_out names \['yak'\], but the classes"),
])
def test_it_refuses(settings: dict, message: str, tiny_dataset: Callable) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_dataset(**settings).full_init()


def test_something_is_left_to_train_on(tiny_coco_dataset: Callable) -> None:
    with pytest.raises(ValueError, match='leave_out names all classes'):
        tiny_coco_dataset(**ALL, leave_out=[
            'ant', 'bee', 'cat', 'dog', 'elk', 'fox', 'gnu', 'hen']).full_init()
