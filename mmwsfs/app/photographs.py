"""Which uploaded files the page works on, and how they are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from mmwsfs.utils.image_file import open_image, read_image

MAX_MEGABYTES = 30
MAX_MEGAPIXELS = 40


class NotUsable(ValueError):
    """Something a person gave cannot be used; the message is for the screen."""


def check_photograph(path: str) -> None:
    """Raise a NotUsable unless a file is a photograph within the limits.

    It is decoded, so that a damaged one is found before the model sees it.
    """
    name = f"'{Path(path).name}'"
    try:
        content = Path(path).read_bytes()
    except OSError:
        raise NotUsable(f'{name} is no longer here: drop it once more.') from None
    if len(content) > MAX_MEGABYTES * 1e6:
        raise NotUsable(
            f'{name} has {len(content) / 1e6:.0f} MB, but {MAX_MEGABYTES} MB is the '
            'most that this page takes: save it smaller.')
    try:
        with open_image(content) as image:
            megapixels = image.width * image.height / 1e6
            if megapixels > MAX_MEGAPIXELS:
                raise NotUsable(
                    f'{name} has {megapixels:.0f} megapixels, but {MAX_MEGAPIXELS} is '
                    'the most that this page takes: make it smaller.')
            image.load()
    except NotUsable:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds
        raise NotUsable(
            f'{name} cannot be read as a photograph: it is damaged or no image '
            f'({error}).') from error


def read_preview(path: str, side: int) -> np.ndarray:
    """A photograph as (h, w, 3) uint8, RGB, of at most ``side`` pixels a side."""
    picture = Image.fromarray(np.ascontiguousarray(read_image(path)[..., ::-1]))
    picture.thumbnail((side, side))
    return np.asarray(picture)
