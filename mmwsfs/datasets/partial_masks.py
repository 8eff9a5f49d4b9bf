"""Which images of a data set carry masks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from mmwsfs.utils.file_names import normal_name
from mmwsfs.utils.text_file import read_text

from .entry_list import EntryList


def choose_masked(images_of: Mapping[int, Sequence[str]], ratio: float,
                  seed: int) -> list[str]:
    """Choose the images that carry masks, a share of each class (method section 7).

    One order of all images: each class shuffles its own, then the classes, in a
    shuffled order, add in turn their next one that is not there yet. The choice is the
    order's first images, so that with one seed a smaller share is a part of a larger
    one. It depends on nothing but the arguments, and not on the order of the images.

    Args:
        images_of: class number -> names of its images; an image may have many classes.
        ratio: the share of all images, above 0 and up to 1. It is rounded to whole
            images, and up until each class has one.
        seed: of the order, 0 <= seed < 2^32.

    Returns:
        list: the chosen names, in the order.
    """
    rng = np.random.RandomState(seed)  # NumPy will not change what it gives
    queues = [rng.permutation(sorted(set(images_of[number]))).tolist()
              for number in sorted(images_of)]
    queues = [iter(queues[index]) for index in rng.permutation(len(queues))]
    order: dict[str, None] = {}
    total = len({name for names in images_of.values() for name in names})
    while len(order) < total:
        for queue in queues:
            new = next((name for name in queue if name not in order), None)
            if new is not None:
                order[new] = None
    wanted = round(ratio * total)
    chosen: list[str] = []
    bare = {number: set(names) for number, names in images_of.items() if names}
    for name in order:
        if len(chosen) >= wanted and not bare:
            break
        chosen.append(name)
        bare = {number: names for number, names in bare.items() if name not in names}
    return chosen


def read_masked(path: Path, names: Collection[str],
                image_name: Callable[[str], str]) -> set[str]:
    """Read a list of the images that carry masks: a name a line, empty lines skipped.

    Args:
        path: the text file; see :func:`~mmwsfs.utils.text_file.read_text`.
        names: of all images of the data set.
        image_name: gives the name of an image file, for lines that are paths.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no text, names no image, or one that is not in ``names``.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"list of images with masks '{path}' does not exist: set masks")
    lines = read_text(path, 'list of images with masks').splitlines()
    masked = set()
    for number, line in enumerate(lines, start=1):
        line = normal_name(line.strip())
        if not line:
            continue
        try:
            name = line if line in names else image_name(line)
        except ValueError as error:
            raise ValueError(f"'{path}', line {number}: {error}") from error
        if name not in names:
            raise ValueError(
                f"'{path}', line {number}: no entry of the data set has an image "
                f"'{line}': take it out, or check fold and split")
        masked.add(name)
    if not masked:
        raise ValueError(
            f"list of images with masks '{path}' names none: name some, or set "
            "masks='none'")
    return masked


def refuse_old_arguments(arguments: Mapping[str, object]) -> None:
    """Say what to write now where a config has the arguments before ``masks``.

    Raises:
        ValueError: one of ``with_masks``, ``mask_ratio`` and ``mask_list`` is given.
    """
    old = {name: arguments[name] for name in ('with_masks', 'mask_ratio', 'mask_list')
           if name in arguments}
    if old:
        masks = 'none' if old.pop('with_masks', True) is False else next(
            (value for value in old.values() if value is not None), 'all')
        raise ValueError(
            'with_masks, mask_ratio and mask_list have become one argument: write '
            f'masks={masks!r} instead')


class MaskChoice:
    """Which images of a dataset carry masks; ``name in choice`` says it of one.

    Args:
        masks: 'all', 'none', the share of the images above 0 and up to 1 (see
            :func:`choose_masked`), or a list of their names, ``NAME.txt``.
        seed: of the choice of a share.

    Attributes:
        names: of the images that carry masks, None: all.

    Raises:
        ValueError: ``masks`` is none of these, or the seed not in 0..2^32 - 1.
    """

    def __init__(self, masks: str | float, seed: int) -> None:
        self.share: float | None = None
        if isinstance(masks, (int, float)) and not isinstance(masks, bool):
            self.share, known = masks, 0 < masks <= 1
        else:
            known = isinstance(masks, str) and (
                masks in ('all', 'none') or masks.endswith('.txt'))
        if not known:
            raise ValueError(
                f"masks={masks!r} must be 'all', 'none', the share of the images that "
                'carry masks, above 0 and up to 1 (0.1 is a tenth), or a list of their '
                "names below data_root, 'NAME.txt'")
        if type(seed) is not int or not 0 <= seed < 2**32:
            raise ValueError(f'mask_seed={seed!r} is not in 0..2^32 - 1')
        self.masks = masks
        self.seed = seed
        self.names: set[str] | None = None if masks == 'all' else set()

    @property
    def any(self) -> bool:
        """Whether there are masks at all."""
        return self.masks != 'none'

    @property
    def partial(self) -> bool:
        """Whether some images carry masks and others do not."""
        return self.masks not in ('all', 'none')

    def __contains__(self, name: str) -> bool:
        return self.names is None or name in self.names

    def begin(self, root: Path, lists: EntryList,
              image_name: Callable[[str], str]) -> None:
        """Read the list, if there is one; of a share no image is chosen yet.

        Args:
            root: what the list's path is relative to.
            lists: the images that it may name.
            image_name: image file -> the dataset's name for it.

        Raises:
            FileNotFoundError, ValueError: as :func:`read_masked`.
        """
        if self.partial:
            self.names = set() if self.share is not None else read_masked(
                root / str(self.masks), lists.labels_of, image_name)

    def settle(self, lists: EntryList) -> None:
        """Choose the share among the images that are there, of a list keep those that
        are there; log how many."""
        if not self.partial or self.names is None:
            return
        if self.share is not None:
            self.names = set(choose_masked(lists.images_of, self.share, self.seed))
        self.names &= lists.labels_of.keys()
        bare = [lists.class_name(number) for number, names in lists.images_of.items()
                if self.names.isdisjoint(names)]
        print_log(
            f'{lists}: {len(self.names)} of {len(lists.labels_of)} images carry masks; '
            f"none of {', '.join(bare) or 'no class'}", 'current')
