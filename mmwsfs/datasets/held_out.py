"""Photographs of base classes that training does not see."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

Entries = Iterable[tuple[str, int]]
SELECTIONS = ('novel', 'base')
# Message of a dataset, by the name of its type.
NO_HELD_OUT = (
    "selection='base' and augmentation need photographs of training classes that "
    'training does not see, but a {} trains on all that it has: leave them out, and '
    'choose a checkpoint on classes that are neither trained nor tested, or take the '
    'last one (val_dataloader=None)')


def held_out_base(base: Entries, novel: Entries, training: Entries,
                  source: str) -> list[tuple[str, int]]:
    """The entries of photographs that neither training nor the test shows.

    An image that the fold's own list names for a novel class is left out, so that the
    choice of a checkpoint sees no photograph of the test and no label of a novel class.
    What of a novel class is left, too small or rare for the lists, is background.

    Args:
        base: (image name, class number) of the other folds' val lists.
        novel: of the fold's own val list.
        training: of the fold's training lists.
        source: where they come from, for messages.

    Returns:
        list: each entry once, in one shuffled order that does not depend on that of the
        lists: the first ones are of all classes.

    Raises:
        ValueError: an image is among the training images too, or nothing is left.
    """
    tested = {name for name, _ in novel}
    entries = sorted({entry for entry in base if entry[0] not in tested})
    seen = sorted({name for name, _ in entries} & {name for name, _ in training})
    if seen:
        raise ValueError(
            f"selection='base' needs photographs that training does not see, but "
            f"{len(seen)} images of '{source}' are in the trn lists as well, the first "
            f"'{seen[0]}': take them out of one of the two")
    if not entries:
        raise ValueError(
            f"selection='base' finds no photograph: all that '{source}' names for base "
            'classes are named for a novel one as well: add images')
    return [entries[index] for index in np.random.RandomState(0).permutation(
        len(entries))]
