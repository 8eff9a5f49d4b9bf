"""What a test's episodes are where they are not those of the published protocol."""

from __future__ import annotations

from collections.abc import Sequence

from .augmented_episodes import AUGMENTATIONS, AugmentedEpisodes
from .episode_file import PUBLISHED
from .episode_source import DrawnEpisodes
from .held_out import SELECTIONS
from .object_size import check_object_size


class EpisodeChoice:
    """The options ``selection``, ``augmentation`` and ``object_size`` of a dataset.

    Args:
        split: 'trn' or 'val'.
        protocol: 'FS-CS' or 'FS-S'.
        selection, augmentation, object_size: as for
            :class:`~mmwsfs.datasets.few_shot_dataset.FewShotDataset`.

    Raises:
        ValueError: one of them is unknown, or does not go with split, protocol or the
            others.
    """

    def __init__(self, split: str, protocol: str, selection: str, augmentation: str,
                 object_size: Sequence[float] | None) -> None:
        if selection not in SELECTIONS:
            raise ValueError(
                f'unknown selection {selection!r}: choose one of {SELECTIONS}')
        if augmentation not in AUGMENTATIONS:
            raise ValueError(
                f'unknown augmentation {augmentation!r}: choose one of '
                f'{tuple(AUGMENTATIONS)}')
        if object_size is not None:
            check_object_size(object_size)
        self.selection = selection
        self.augmentation = augmentation
        self.object_size = None if object_size is None else list(object_size)
        if split != 'val' and self.words:
            raise ValueError(
                f"split '{split}' has no {' nor '.join(self.other_than_published)}: "
                "these choose episodes of split 'val'")
        if self.augmented and (protocol != 'FS-CS' or selection != 'novel'):
            raise ValueError(
                f'augmentation={augmentation!r} chooses queries without a target, of '
                f"which protocol='{protocol}' with selection='{selection}' has none to "
                "choose: it goes with 'FS-CS' and 'novel'")

    @property
    def augmented(self) -> bool:
        """Whether queries without a target are of base classes."""
        return self.augmentation != 'none'

    def augment(self, drawn: DrawnEpisodes, others: Sequence[tuple[str, int]],
                ) -> DrawnEpisodes | AugmentedEpisodes:
        """Drawn episodes with the queries that ``augmentation`` asks for.

        Raises:
            ValueError: it asks for some, and ``others`` is empty.
        """
        if not self.augmented:
            return drawn
        if not others:
            raise ValueError(
                f'augmentation={self.augmentation!r} finds no photograph of base '
                f"classes beside those of '{drawn.lists.source}': complete the data")
        return AugmentedEpisodes(drawn, others, self.augmentation)

    @property
    def other_than_published(self) -> dict[str, object]:
        """The options that are not at their defaults."""
        return {key: getattr(self, key) for key, value in PUBLISHED.items()
                if getattr(self, key) != value}

    @property
    def words(self) -> str:
        """The choice as a person reads it, '' for the published one."""
        words = []
        if self.selection == 'base':
            words.append('held-out base photographs')
        if self.augmented:
            words.append({
                'partial': 'partially', 'full': 'fully'}[self.augmentation]
                + ' augmented')
        if self.object_size is not None:
            low, high = (f'{100 * share:g}' for share in self.object_size)
            words.append(f'objects of {low} to {high} % of the image')
        return ', '.join(words)
