"""Benchmarks of which no fold is held out: training on all that their lists name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def left_out_numbers(fold: int | None, split: str, leave_out: Sequence[str],
                     classes: Sequence[str]) -> set[int]:
    """The numbers, from 1, of the classes that ``leave_out`` names.

    Args:
        fold: None where no fold is held out.
        split: 'trn' or 'val'.
        leave_out: names of classes.
        classes: names of the classes 1, 2, ...

    Raises:
        ValueError: there is no fold to test on; classes are left out beside a fold; a
            name is no class, or none is left.
    """
    if fold is not None:
        if leave_out:
            raise ValueError(
                f'leave_out={list(leave_out)} goes with fold=None alone: fold={fold} '
                'says itself which classes are not trained on')
        return set()
    if split != 'trn':
        raise ValueError(
            f"fold=None holds out no class, so that split '{split}' has none to test "
            'on: name a fold, 0..3')
    unknown = [name for name in leave_out if name not in classes]
    if unknown:
        raise ValueError(
            f'leave_out names {unknown}, but the classes are {list(classes)}')
    numbers = {classes.index(name) + 1 for name in leave_out}
    if len(numbers) == len(classes):
        raise ValueError('leave_out names all classes: leave some to train on')
    return numbers


def entries_without(entries: Iterable[tuple[str, int]],
                    left_out: set[int]) -> list[tuple[str, int]]:
    """Entries, each once, of the images that are named for no class left out.

    Args:
        entries: (image name, class number), perhaps repeated.
        left_out: class numbers.
    """
    unique = list(dict.fromkeys(entries))
    shown = {name for name, number in unique if number in left_out}
    return [entry for entry in unique if entry[0] not in shown]
