from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class EpisodeKey(NamedTuple):
    """What identifies an episode of a dataset: its query entry and its seed."""

    query: int
    seed: int


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


def draw_episode(query: str, query_class: int, images_of: Mapping[int, Sequence[str]],
                 way: int, shot: int, rng: np.random.RandomState) -> Episode:
    """Draw the supports of a query by the published rule.

    N classes without replacement, the query's class with probability 1/2 at the first
    draw and the others sharing the other half; then for each class K images, where a
    draw equal to the query or to an earlier one is discarded.

    Args:
        query: name of the query image.
        query_class: the class that the query was listed for.
        images_of: class -> names; at least K + 1 distinct names each (the caller has
            checked it, so that drawing ends), in the order of the published list.
        way: N, at most the number of classes.
        shot: K.
        rng: NumPy's legacy generator, which the published episodes were drawn with.
    """
    classes = sorted(images_of)
    probabilities = np.full(len(classes), 0.5 / max(len(classes) - 1, 1))
    probabilities[classes.index(query_class)] = 0.5 if len(classes) > 1 else 1.0
    drawn = rng.choice(classes, way, replace=False, p=probabilities)
    supports = []
    for number in drawn:
        names: list[str] = []
        images = images_of[int(number)]
        while len(names) < shot:
            name = images[rng.choice(len(images), 1, replace=False)[0]]
            if name != query and name not in names:
                names.append(name)
        supports.append(tuple(names))
    return Episode(query, tuple(supports), tuple(int(number) for number in drawn))
