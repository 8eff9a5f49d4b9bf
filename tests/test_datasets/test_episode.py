"""The published draw of an episode's classes and supports."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmwsfs.datasets import Episode, EpisodeKey
from mmwsfs.datasets.episode import draw_classes, draw_supports


def published_entries(shared_data: Path, fold: int) -> list[tuple[str, int]]:
    """A published val list, read without the package."""
    path = shared_data / f'splits/pascal5i/val/fold{fold}.txt'
    return [(line[:-4], int(line[-2:])) for line in path.read_text().split()]


def by_class(entries: list[tuple[str, int]]) -> dict[int, list[str]]:
    """Class -> names, in the order of the list."""
    groups: dict[int, list[str]] = {}
    for name, number in entries:
        groups.setdefault(number, []).append(name)
    return groups


def restated(entries: list[tuple[str, int]], novel: list[int], j: int, way: int,
             shot: int) -> tuple[str, list[int], list[list[str]]]:
    """Episode j as the protocol states it: query, classes, supports."""
    generator = np.random.RandomState(j)
    query, query_class = entries[j % len(entries)]
    p = [1 / 2 if c == query_class else 1 / 2 / (len(novel) - 1) for c in novel]
    classes = generator.choice(novel, way, replace=False, p=p).tolist()
    groups = by_class(entries)
    supports = []
    for number in classes:
        taken: list[str] = []
        while len(taken) < shot:
            name = str(generator.choice(groups[number], 1, replace=False)[0])
            if name == query or name in taken:
                continue
            taken.append(name)
        supports.append(taken)
    return query, classes, supports


@pytest.mark.parametrize('fold', range(4))
@pytest.mark.parametrize(('way', 'shot'), [(1, 1), (1, 5), (2, 1), (2, 5)])
def test_draws_follow_the_published_recipe(
        shared_data: Path, fold: int, way: int, shot: int) -> None:
    """Test episodes are the published ones, so that numbers can be compared."""
    entries = published_entries(shared_data, fold)
    groups = by_class(entries)
    novel = list(range(5 * fold + 1, 5 * fold + 6))
    for j in range(0, 1000, 9):
        query, query_class = entries[j % len(entries)]
        rng = np.random.RandomState(j)
        classes = draw_classes(query_class, novel, way, rng)
        supports = draw_supports(query, classes, groups, shot, rng)
        expected = restated(entries, novel, j, way, shot)
        assert (query, list(classes), [list(names) for names in supports]) == expected


def test_query_class_has_probability_one_half() -> None:
    """Half of the 1-way episodes hold a target; the others share the rest evenly."""
    classes = [6, 7, 8, 9, 10]
    draws = 4000
    drawn = [draw_classes(8, classes, 1, np.random.RandomState(seed))[0]
             for seed in range(draws)]
    for number in classes:
        p = 0.5 if number == 8 else 0.125
        share = drawn.count(number) / draws
        assert abs(share - p) < 4 * (p * (1 - p) / draws) ** 0.5, number


def test_ways_are_distinct_and_plain_ints() -> None:
    """N classes are drawn without replacement, and can be put into JSON."""
    for seed in range(50):
        classes = draw_classes(2, [1, 2, 3, 4, 5], 5, np.random.RandomState(seed))
        assert sorted(classes) == [1, 2, 3, 4, 5]
        assert all(type(number) is int for number in classes)


def test_a_single_class_is_always_drawn() -> None:
    """A split of one class works: the halves cannot be shared out."""
    assert draw_classes(7, [7], 1, np.random.RandomState(0)) == (7, )


def test_supports_are_neither_the_query_nor_repeated() -> None:
    """With K + 1 images of a class all but the query are taken, each once."""
    images = {3: ['a', 'b', 'c', 'd', 'e', 'f']}
    for seed in range(50):
        supports, = draw_supports('c', (3, ), images, 5, np.random.RandomState(seed))
        assert sorted(supports) == ['a', 'b', 'd', 'e', 'f']


def test_episodes_compare_by_value() -> None:
    """Episodes can be compared and kept in sets; a key may leave ``present`` out."""
    episode, same = (Episode('a', (('b', ), ), (3, )) for _ in range(2))
    assert episode == same != Episode('a', (('c', ), ), (3, ))
    assert len({episode, same}) == 1
    assert EpisodeKey(4, 9) == (4, 9, None)
