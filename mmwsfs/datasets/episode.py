from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class EpisodeKey(NamedTuple):
    """What identifies an episode of a dataset.

    Attributes:
        query: number of the list entry that is the query.
        seed: of the generator that draws the rest, 0 <= seed < 2^32.
        present: None draws the class by the published rule. True takes the class that
            the query is listed for, False one that the query does not show.
    """

    query: int
    seed: int
    present: bool | None = None


@dataclass(frozen=True)
class Episode:
    """One N-way K-shot episode, by image names.

    Attributes:
        query: name of the query image.
        supports: for each of N ways the names of its K support images.
        classes: N absolute class numbers, from 1.
    """

    query: str
    supports: tuple[tuple[str, ...], ...]
    classes: tuple[int, ...]


def draw_classes(query_class: int, classes: Sequence[int], way: int,
                 rng: np.random.RandomState) -> tuple[int, ...]:
    """Draw the N classes of an episode by the published rule.

    Without replacement; at the first draw the query's class has probability 1/2, and
    the others share the other half.

    Args:
        query_class: the class that the query is listed for.
        classes: the class numbers of the split, ascending.
        way: N, at most the number of classes.
        rng: NumPy's legacy generator, which the published episodes were drawn with.
    """
    probabilities = np.full(len(classes), 0.5 / max(len(classes) - 1, 1))
    probabilities[classes.index(query_class)] = 0.5 if len(classes) > 1 else 1.0
    drawn = rng.choice(classes, way, replace=False, p=probabilities)
    return tuple(int(number) for number in drawn)


def draw_supports(query: str, classes: Sequence[int],
                  images_of: Mapping[int, Sequence[str]], shot: int,
                  rng: np.random.RandomState) -> tuple[tuple[str, ...], ...]:
    """Draw K support images for each class by the published rule.

    One at a time; a draw equal to the query or to an earlier one is discarded.

    Args:
        query: name of the query image.
        classes: the N classes of the episode.
        images_of: class -> names; at least K + 1 distinct names each (the caller has
            checked it, so that drawing ends), in the order of the published list.
        shot: K.
        rng: as in :func:`draw_classes`, and already advanced by it.
    """
    supports = []
    for number in classes:
        names: list[str] = []
        images = images_of[number]
        while len(names) < shot:
            name = images[rng.choice(len(images), 1, replace=False)[0]]
            if name != query and name not in names:
                names.append(name)
        supports.append(tuple(names))
    return tuple(supports)
