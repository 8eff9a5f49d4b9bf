"""Where the episodes of a dataset come from: drawn, or replayed from a file.

Every source of episodes (:class:`EpisodeSource`) has ``len``, ``draw``, ``users`` and
``rule``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from .entry_list import EntryList
from .episode import Episode, EpisodeKey, draw_classes, draw_supports
from .episode_file import read_episodes


class EpisodeSource(Protocol):
    """Numbered episodes: drawn, replayed, or some of others."""

    def __len__(self) -> int:
        """How many."""

    @property
    def rule(self) -> str:
        """How they come about, in a line."""

    def draw(self, key: int | EpisodeKey) -> Episode:
        """Episode j, or the one that a key names."""

    def users(self) -> dict[str, str]:
        """Image name -> who needs it first."""


class DrawnEpisodes:
    """Episodes drawn by the published rule, a generator each.

    The query, the classes (:func:`~mmwsfs.datasets.episode.draw_classes`), then the
    supports (:func:`~mmwsfs.datasets.episode.draw_supports`), all from one
    ``RandomState``: of episode j that with seed j.

    Args:
        lists: the entries.
        way: N.
        shot: K.
        protocol: 'FS-CS' or 'FS-S'.
        draw_query: (j, generator) -> the entry that is the query of episode j.
        query_rule: how it does so, for the reader of an episode file.
        num_episodes: None for the number of entries.

    Raises:
        ValueError: ``num_episodes`` is less than 1, or the lists hold too little; see
            :meth:`.EntryList.check_counts` and :meth:`.EntryList.check_contrast`.
    """

    def __init__(self, lists: EntryList, way: int, shot: int, protocol: str,
                 draw_query: Callable[[int, np.random.RandomState], dict],
                 query_rule: str, num_episodes: int | None = None) -> None:
        if num_episodes is not None and num_episodes < 1:
            raise ValueError(
                f'num_episodes={num_episodes}: give at least 1, or None for one '
                'episode an entry of the lists')
        lists.check_counts(way, shot)
        lists.check_contrast(protocol)
        self.lists = lists
        self.way = way
        self.shot = shot
        self.protocol = protocol
        self.draw_query = draw_query
        self.query_rule = query_rule
        self.num_episodes = num_episodes or len(lists.entries)

    def __len__(self) -> int:
        return self.num_episodes

    @property
    def rule(self) -> str:
        """How the episodes were drawn, in a line."""
        classes = (
            'its class, then N - 1 others evenly' if self.protocol == 'FS-S'
            else 'N classes, its own with p = 1/2, the others evenly')
        return (
            f'by NumPy RandomState(j): query, {self.query_rule}; {classes}; for '
            'each class images one at a time, the query and repetitions discarded')

    def query(self, number: int) -> dict:
        """The entry that is the query of test episode ``number``."""
        return self.draw_query(number, np.random.RandomState(number))

    def draw(self, key: int | EpisodeKey) -> Episode:
        """Episode j, or the one that a key names.

        A key that asks for an absent class gets the query's own where the query shows
        every class of the split (:meth:`.EntryList.check_contrast` warns of these).
        """
        if isinstance(key, EpisodeKey):
            rng = np.random.RandomState(key.seed)
            return self._complete(self.lists.entries[key.query], key.present, rng)
        rng = np.random.RandomState(key)
        return self._complete(self.draw_query(key, rng), None, rng)

    def _complete(self, entry: dict, present: bool | None,
                  rng: np.random.RandomState) -> Episode:
        """Draw classes and supports for a query entry."""
        query_class, class_ids = entry['class_id'], self.lists.class_ids
        classes: tuple[int, ...]
        if present is not None:
            shown = self.lists.labels_of[entry['name']]
            absent = [number for number in class_ids if number not in shown]
            classes = (
                query_class if present or not absent else int(rng.choice(absent)), )
        elif self.protocol == 'FS-S':
            others = [number for number in class_ids if number != query_class]
            classes = (
                query_class, *rng.choice(others, self.way - 1, replace=False).tolist())
        else:
            classes = draw_classes(query_class, class_ids, self.way, rng)
        supports = draw_supports(
            entry['name'], classes, self.lists.images_of, self.shot, rng)
        return Episode(entry['name'], supports, classes)

    def users(self) -> dict[str, str]:
        """Image name -> who needs it first: in training an entry, else an episode."""
        if self.lists.split == 'trn':
            return self.lists.first_entries()
        return first_episodes(self)


class ReplayedEpisodes:
    """The episodes of a file; see :func:`~mmwsfs.datasets.episode_file.read_episodes`.

    Args:
        path: the file.
        expected: head of the dataset that replays them.
        image_name: image file -> the dataset's name for it.
        has_labels: whether an image's classes are known, by a mask or the lists.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged or of other data, or a query has no class labels.
    """

    def __init__(self, path: Path, expected: dict, image_name: Callable[[str], str],
                 has_labels: Callable[[str], bool]) -> None:
        self.path = path
        self.episodes = read_episodes(path, expected, image_name)
        for number, episode in enumerate(self.episodes):
            if not has_labels(episode.query):
                raise ValueError(
                    f"episode file '{path}', episode {number}: without masks the query "
                    f"'{episode.query}' has no class labels, since no list entry names "
                    "it: set masks='all'")

    def __len__(self) -> int:
        return len(self.episodes)

    @property
    def rule(self) -> str:
        """Where the episodes come from, in a line."""
        return f'replayed from {self.path.name}'

    def draw(self, key: int | EpisodeKey) -> Episode:
        """Episode j of the file.

        Raises:
            ValueError: a key asks for an episode to be drawn.
        """
        if isinstance(key, EpisodeKey):
            raise ValueError(
                f'{key} names an episode to be drawn, but the dataset replays those of '
                f"'{self.path}': number them from 0 (EvalEpisodeSampler does)")
        return self.episodes[key]

    def users(self) -> dict[str, str]:
        """Image name -> the first episode that needs it."""
        return first_episodes(self)


def first_episodes(source: EpisodeSource) -> dict[str, str]:
    """Image name -> 'episode j', the first that needs it."""
    users: dict[str, str] = {}
    for number in range(len(source)):
        episode = source.draw(number)
        for name in (episode.query, *sum(episode.supports, ())):
            users.setdefault(name, f'episode {number}')
    return users
