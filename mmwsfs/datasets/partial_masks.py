"""Which images of a partly labelled data set carry masks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import numpy as np


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

    Raises:
        ValueError: the ratio or the seed is out of its range.
    """
    if not 0 < ratio <= 1:
        raise ValueError(
            f'mask_ratio={ratio} is not above 0 and up to 1: 0.1 are masks for a tenth '
            'of the images; with_masks=False for none')
    if not 0 <= seed < 2**32:
        raise ValueError(f'mask_seed={seed} is not in 0..2^32 - 1')
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
        path: the text file, UTF-8.
        names: of all images of the data set.
        image_name: gives the name of an image file, for lines that are paths.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no text, names no image, or one that is not in ``names``.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"list of images with masks '{path}' does not exist: set mask_list")
    try:
        lines = [line.strip() for line in path.read_text('utf-8-sig').splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(
            f"list of images with masks '{path}' is no UTF-8 text: {error}") from error
    masked = set()
    for number, line in enumerate(lines, start=1):
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
            'with_masks=False')
    return masked
