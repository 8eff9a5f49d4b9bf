"""Models that are known by a name."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import NamedTuple

import mmwsfs


class NamedModel(NamedTuple):
    """A model that comes with the package.

    Attributes:
        config: such as ``mmwsfs::wsfs/NAME.py``, or None: the weights carry it.
        weights: a file in the package's folder ``weights``, or None: it needs none.
        about: what it is, in a line.
    """

    config: str | None
    weights: str | None
    about: str


MODELS = {
    'cst-photos': NamedModel(
        None, 'cst-photos.safetensors',
        'CST, trained on photographs of VOC and COCO; from two classes or supports on'),
    'prototypes': NamedModel(
        'mmwsfs::rivals/prototypes_photos.py', None,
        'prototypes on a frozen ViT, without any training'),
}


def named_weights(name: str) -> Path | None:
    """The file of a named model's weights; None for one that needs none.

    Raises:
        FileNotFoundError: the installed package lacks it.
    """
    weights = MODELS[name].weights
    if weights is None:
        return None
    path = Path(mmwsfs.__file__).parent / 'weights' / weights
    if not path.is_file():
        raise FileNotFoundError(
            f"the weights of '{name}' did not come with this installation of mmwsfs "
            f"('{path}' does not exist): install a release's wheel")
    return path


def not_found(name: str) -> str:
    """Why a name means nothing, in a sentence: near names first."""
    lower = {known.lower(): known for known in MODELS}
    near = difflib.get_close_matches(name.lower(), lower, 1)
    guess = f"did you mean '{lower[near[0]]}'? " if near else ''
    return (
        f"'{name}' is neither a file nor the name of a model: {guess}The names are "
        f"{', '.join(MODELS)}; else give a config (.py) or a checkpoint (.pth, "
        '.safetensors)')
