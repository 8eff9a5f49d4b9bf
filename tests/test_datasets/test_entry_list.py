"""EntryList: labels, and what episodes need of the lists."""
from __future__ import annotations

import logging

import pytest

from mmwsfs.datasets import entry_list
from mmwsfs.datasets.entry_list import EntryList

NAMES = ('ant', 'bee', 'cat', 'dog')


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The lines that are logged, and their level."""
    lines: list[tuple[str, int]] = []
    monkeypatch.setattr(
        entry_list, 'print_log',
        lambda line, logger, level=logging.INFO: lines.append((line, level)))
    return lines


def build(*entries: tuple[str, int], classes: tuple[int, ...] = (1, 2),
          split: str = 'trn') -> EntryList:
    return EntryList(entries, list(classes), NAMES, split, 'the test')


def test_labels_and_images() -> None:
    """In the order of the entries; a repeated one stays, as in published lists."""
    lists = build(('b', 2), ('a', 1), ('b', 1), ('a', 1))
    assert lists.entries == [
        dict(name='b', class_id=2), dict(name='a', class_id=1),
        dict(name='b', class_id=1), dict(name='a', class_id=1)]
    assert lists.images_of == {1: ['a', 'b', 'a'], 2: ['b']}
    assert lists.labels_of == {'b': {1, 2}, 'a': {1}}
    assert lists.first_entries() == {'b': 'entry 0', 'a': 'entry 1'}
    assert str(lists) == "split 'trn' of 'the test'"


def test_digest_tells_the_order() -> None:
    one, other = build(('a', 1), ('b', 2)), build(('b', 2), ('a', 1))
    assert one.sha256() == build(('a', 1), ('b', 2)).sha256() != other.sha256()


# ------------------------------------------------------------- presence and absence
def test_training_on_one_class_is_refused() -> None:
    """Every episode would show it: a loss of zero that teaches nothing."""
    with pytest.raises(ValueError, match=(
            r"every image of split 'trn' of 'the test' shows class 2 \('bee'\).*can "
            "only learn 'present': add images of at least one other class")):
        build(('a', 2), ('b', 2), classes=(2, )).check_contrast('FS-CS')


def test_training_images_that_all_show_all_classes_are_refused() -> None:
    """However many classes there are."""
    with pytest.raises(ValueError, match=(
            r"shows class 1 \('ant'\), class 2 \('bee'\), all its classes")):
        build(('a', 1), ('a', 2), ('b', 2), ('b', 1)).check_contrast('FS-CS')


def test_training_images_that_show_all_classes_are_counted(
        log: list[tuple[str, int]]) -> None:
    """Paired training takes a present class for them where it asks for an absent."""
    build(('a', 1), ('a', 2), ('b', 2), ('c', 1)).check_contrast('FS-CS')
    (line, level), = log
    assert level == logging.WARNING
    assert line.startswith("1 of 3 images of split 'trn' of 'the test' show all its")
    assert "can only be 'present'" in line


def test_no_warning_where_every_image_lacks_a_class(
        log: list[tuple[str, int]]) -> None:
    for split in ('trn', 'val'):
        build(('a', 1), ('b', 2), split=split).check_contrast('FS-CS')
    assert log == []


@pytest.mark.parametrize(('protocol', 'warns'), [('FS-CS', True), ('FS-S', False)])
def test_testing_one_class(
        log: list[tuple[str, int]], protocol: str, warns: bool) -> None:
    """Its masks are tested, its presence is not; FS-S never tests presence."""
    build(('a', 3), ('b', 3), classes=(3, ), split='val').check_contrast(protocol)
    assert len(log) == warns
    for line, level in log:
        assert level == logging.WARNING
        assert line.startswith(
            "every query of split 'val' of 'the test' shows class 3 ('cat')")
        assert 'presence is not tested' in line


def test_testing_with_one_other_image_tests_presence(
        log: list[tuple[str, int]]) -> None:
    build(('a', 1), ('a', 2), ('b', 2), split='val').check_contrast('FS-CS')
    assert log == []
