"""Test episodes by the size of the query's object."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mmengine.logging import print_log

from mmwsfs.registry import TRANSFORMS

from .augmented_episodes import AugmentedEpisodes
from .episode import Episode, EpisodeKey
from .episode_source import DrawnEpisodes, first_episodes
from .transforms.pack_episode_inputs import class_pixels


def check_object_size(size: Sequence[float]) -> None:
    """That it is (low, high), 0 <= low < high <= 1.

    Raises:
        ValueError: it is not.
    """
    if len(size) != 2 or not 0 <= size[0] < size[1] <= 1:
        raise ValueError(
            f'object_size={tuple(size)} must be two shares of the image, 0 at least '
            'and 1 at most, the smaller one first: (0, 0.05) are objects of less than '
            '5 %')


def object_share(image: dict, class_id: int, mask_loader: dict) -> float:
    """The share of an image that its mask shows of a class, 0..1.

    Args:
        image: as the transforms get it, with a mask.
        class_id: number of the class.
        mask_loader: config of the transform that loads the mask.

    Raises:
        FileNotFoundError, ValueError: the mask is missing, damaged, or does not show
            what the lists say.
    """
    shown = TRANSFORMS.build(mask_loader)(image)
    return float(class_pixels(shown, class_id).mean())


class SizedEpisodes:
    """Of given test episodes those whose query has an object of a size.

    The object is all that the query's mask shows of the class for which the lists name
    the query, whether that class is asked for or not: so the subset holds queries with
    and without a target as the whole does. Its size is its share of all pixels of the
    image at its original size. An episode belongs to (low, high) if low <= size < high,
    to (low, 1) also if the object is all of the image: (0, 0.05) and (0.05, 1) together
    are all episodes.

    Supports are as they were drawn. The episodes keep their order and get new numbers.

    Args:
        source: the episodes.
        size: (low, high), shares in 0..1.
        share_of: (image name, class number) -> the class's share of the image.

    Raises:
        ValueError: there is no such episode.
    """

    def __init__(self, source: DrawnEpisodes | AugmentedEpisodes, size: Sequence[float],
                 share_of: Callable[[str, int], float]) -> None:
        self.source = source
        self.low, self.high = size
        shares: dict[tuple[str, int], float] = {}
        self.numbers: list[int] = []
        for number in range(len(source)):
            entry = source.query(number)
            key = entry['name'], entry['class_id']
            if key not in shares:
                shares[key] = share_of(*key)
            if self.low <= shares[key] and (
                    shares[key] < self.high or self.high == 1):
                self.numbers.append(number)
        if not self.numbers:
            raise ValueError(
                f'object_size=({self.low:g}, {self.high:g}): none of {len(source)} '
                'episodes has a query with such an object; they cover '
                f'{min(shares.values()):.3f} to {max(shares.values()):.3f} of their '
                'images: choose another size')
        print_log(
            f'{len(self.numbers)} of {len(source)} episodes have a query whose object '
            f'covers {self.low:g} to {self.high:g} of its image', 'current')

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def rule(self) -> str:
        """How the episodes were drawn, in a line."""
        return (
            f'{self.source.rule}; of these the ones whose query has an object of '
            f'{self.low:g} to {self.high:g} of the image')

    def draw(self, key: int | EpisodeKey) -> Episode:
        """Episode ``key`` of the subset; one that a key names is left as it is."""
        return self.source.draw(
            key if isinstance(key, EpisodeKey) else self.numbers[key])

    def users(self) -> dict[str, str]:
        """Image name -> the first episode that needs it."""
        return first_episodes(self)
