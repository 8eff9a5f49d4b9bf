"""Test episodes with more photographs to say "absent" to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .episode import Episode, EpisodeKey
from .episode_source import DrawnEpisodes, first_episodes

#: Augmentation -> the share of the queries without a target that is replaced.
AUGMENTATIONS = {'none': 0., 'partial': 0.5, 'full': 1.}


class AugmentedEpisodes:
    """Drawn episodes, in which queries without a target are other photographs.

    By the published rule every query shows some novel class of the fold; one without a
    target shows another than those asked for. Here such a query, one that the lists
    name for none of the N classes, is replaced by a held-out photograph of base
    classes: in 'partial' with probability 1/2, in 'full' always. Classes and supports
    stay, and so do all episodes whose query shows a target.

    The replacement is a function of the episode's number j alone: from
    ``RandomState([j, 1])`` come the coin, then the entry of ``others``, evenly.

    Args:
        drawn: the episodes by the published rule, 'FS-CS'.
        others: (image name, class number) of the photographs of base classes; see
            :func:`~mmwsfs.datasets.held_out.held_out_base`.
        augmentation: 'partial' or 'full'.
    """

    def __init__(self, drawn: DrawnEpisodes, others: Sequence[tuple[str, int]],
                 augmentation: str) -> None:
        self.drawn = drawn
        self.others = others
        self.augmentation = augmentation

    def __len__(self) -> int:
        return len(self.drawn)

    @property
    def rule(self) -> str:
        """How the episodes were drawn, in a line."""
        share = {'partial': 'half of the queries', 'full': 'all queries'}
        return (
            f'{self.drawn.rule}; {share[self.augmentation]} without a target replaced '
            'by held-out photographs of base classes, by RandomState([j, 1])')

    def query(self, number: int) -> dict:
        """The entry that is the query of test episode ``number``."""
        return self._other(number) or self.drawn.query(number)

    def _other(self, number: int) -> dict | None:
        """The entry that replaces the query of an episode, None if none does."""
        episode = self.drawn.draw(number)
        shown = self.drawn.lists.labels_of[episode.query]
        rng = np.random.RandomState([number, 1])
        share = AUGMENTATIONS[self.augmentation]
        if not shown.isdisjoint(episode.classes) or rng.random_sample() >= share:
            return None
        name, class_id = self.others[rng.randint(len(self.others))]
        return dict(name=name, class_id=class_id)

    def draw(self, key: int | EpisodeKey) -> Episode:
        """Episode j; one that a key names is left as it is."""
        episode = self.drawn.draw(key)
        other = None if isinstance(key, EpisodeKey) else self._other(key)
        return episode if other is None else replace(episode, query=other['name'])

    def users(self) -> dict[str, str]:
        """Image name -> the first episode that needs it."""
        return first_episodes(self)
