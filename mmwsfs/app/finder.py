"""One click on "Find": checks what a person gave, and asks the model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor

from mmwsfs.apis import FewShotInferencer

from .drawing import DrawnArea, limit
from .photographs import NotUsable, check_photograph

_ONE = 2**15  # the stored value of a probability of 1


@dataclass(frozen=True)
class ClassInput:
    """What a person gave for one class.

    Attributes:
        name: as typed.
        supports: files of photographs that show it.
        negatives: files of what it is not.
        masks: file of a support -> (H, W) bool, where the person drew.
    """

    name: str
    supports: Sequence[str]
    negatives: Sequence[str] = ()
    masks: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Looked:
    """A support as the model took it.

    Attributes:
        way: its class, 0..N-1.
        image: its file.
        picture: (h, w, 3) uint8, RGB, a thumbnail.
        mask: (h', w') bool, what counted as the thing.
        drawn: whether a person drew it.
    """

    way: int
    image: str
    picture: np.ndarray
    mask: Tensor
    drawn: bool


@dataclass(frozen=True)
class Answer:
    """What the model said of one query.

    Attributes:
        image: its file.
        presence: N probabilities of presence, 0..1.
        probs_file: ``.npy`` of (N, H, W) uint16, foreground probabilities times 2**15.
            They stay on disk: of one large photograph and four classes they are
            300 MB.
    """

    image: str
    presence: list[float]
    probs_file: Path

    def probs(self, longest: int | None = None) -> np.ndarray:
        """(N, H', W') float32; every k-th pixel, for a side of ``longest`` or a little
        more."""
        stored = np.load(self.probs_file, mmap_mode='r')
        step = max(1, max(stored.shape[1:]) // longest) if longest else 1
        return stored[:, ::step, ::step].astype(np.float32) / _ONE


@dataclass(frozen=True)
class Found:
    """All that one click gave: what was asked, the supports, an answer a query, and
    whether the pixels follow the photographs' colours."""

    classes: Sequence[ClassInput]
    looked: list[Looked]
    answers: list[Answer]
    edges: bool = False

    @property
    def names(self) -> list[str]:
        """Of the classes."""
        return [given.name for given in self.classes]


def check_classes(classes: Sequence[ClassInput]) -> None:
    """Raise a NotUsable unless every class has a name of its own and a photograph."""
    for number, given in enumerate(classes, start=1):
        if not given.name:
            raise NotUsable(f'Class {number} has no name: type one.')
        if not given.supports:
            raise NotUsable(
                f"Class '{given.name}' has no photograph: drop at least one that "
                'shows it.')
        if given.name in [other.name for other in classes[:number - 1]]:
            raise NotUsable(
                f"Two classes are called '{given.name}': give one another name.")
        for path in (*given.supports, *given.negatives):
            check_photograph(path)


class Finder:
    """Asks one model for all who have the page open, one after the other.

    Args:
        inferencer: its supports are set anew with every click.
    """

    def __init__(self, inferencer: FewShotInferencer) -> None:
        self.inferencer = inferencer
        self._lock = threading.Lock()

    def find(self, classes: Sequence[ClassInput], queries: Sequence[str],
             folder: Path, on_bad: Callable[[Exception], None],
             on_step: Callable[[int], None] = lambda done: None,
             edges: bool = False) -> Found:
        """Look for the classes in the queries.

        Args:
            classes: at least one.
            queries: files of photographs.
            folder: an empty one for the probabilities.
            on_bad: called with what is wrong with a query, which is left out.
            on_step: called with the number of queries that are done.
            edges: whether pixels follow the photographs' colours. Defaults to False.

        Raises:
            NotUsable: there is no class or query, or one cannot be used.
            ValueError: the model cannot work with it, such as one that needs masks.
        """
        check_classes(classes)
        if not queries:
            raise NotUsable(
                'There is no photograph to look in: drop at least one under "Where to '
                'look".')
        usable = []
        for path in queries:
            try:
                check_photograph(path)
                usable.append(path)
            except NotUsable as error:
                on_bad(error)
        answers = []
        with self._lock:
            looked = self._look(classes)
            for number, result in enumerate(self.inferencer.predict(
                    usable, on_error=lambda _, error: on_bad(error), edges=edges)):
                probs_file = folder / f'{number}.npy'
                # Cut, not rounded: what is below 0.5 stays below it.
                np.save(probs_file, (result['probs'] * _ONE).astype(np.uint16))
                answers.append(Answer(
                    result['image'], [*result['presence'].values()], probs_file))
                on_step(number + 1)
        return Found(classes, looked, answers, edges)

    def _look(self, classes: Sequence[ClassInput]) -> list[Looked]:
        """Give the model the supports, and hear what it took for the thing."""
        self.inferencer.set_supports(
            {given.name: list(given.supports) for given in classes},
            {given.name: [given.masks.get(path) for path in given.supports]
             for given in classes},
            {given.name: list(given.negatives) for given in classes
             if given.negatives})
        supports = self.inferencer.supports
        assert supports is not None
        return [
            Looked(way, path, picture, mask, path in given.masks)
            for way, given in enumerate(classes)
            for path, picture, mask in zip(
                given.supports, supports.pictures[way], supports.masks[way])]

    def grow(self, image: np.ndarray, area: DrawnArea) -> np.ndarray:
        """The region that a drawing hints at.

        The photograph is asked about itself: what is drawn is the support's mask, and
        the answer is what the model finds alike, within :func:`.limit`.

        Args:
            image: (H, W, 3) uint8, RGB.
            area: of the same size.

        Returns:
            np.ndarray: (H, W) bool.
        """
        mask = area.filled if area.encloses else area.strokes
        with self._lock:
            self.inferencer.set_supports(
                {'drawn': [image]}, {'drawn': [mask]}, channel_order='rgb')
            result, = self.inferencer([image], channel_order='rgb')
        return limit(result['probs'][0] >= 0.5, area)
