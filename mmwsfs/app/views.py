"""What a person sees: supports and queries with what was found on them."""

from __future__ import annotations

from html import escape
from pathlib import Path

import numpy as np

from mmwsfs.apis import label_map
from mmwsfs.visualization import WAY_COLOURS, draw_overlay

from .drawing import stretch
from .finder import Answer, Found, Looked
from .photographs import read_preview

_SIDE = 1024  # of a picture on the screen, in pixels


def draw_answer(answer: Answer, threshold: float, opacity: float) -> np.ndarray:
    """A query with what was found in it, (h, w, 3) uint8, RGB."""
    labels = label_map(answer.probs(_SIDE), answer.presence, threshold)
    return draw_overlay(read_preview(answer.image, _SIDE), labels, opacity=opacity)


def outline(image: np.ndarray, mask: np.ndarray, way: int) -> np.ndarray:
    """A support with what counts as the thing; the rest is darkened.

    Args:
        image: (H, W, 3) uint8, RGB.
        mask: (h, w) bool.
        way: its class, 0..N-1.
    """
    labels = stretch(mask, image.shape[:2]) * np.uint8(way + 1)
    return draw_overlay(
        np.where(labels[..., None] > 0, image, image // 3), labels, opacity=0.15)


def draw_looked(looked: Looked) -> np.ndarray:
    """A support as the model took it, (h, w, 3) uint8, RGB."""
    return outline(looked.picture, looked.mask.numpy(), looked.way)


def caption(found: Found, answer: Answer, threshold: float) -> str:
    """A query's line: the classes that are present, and its file."""
    present = [f'{name} {presence:.2f}'
               for name, presence in zip(found.names, answer.presence)
               if presence > threshold]
    return f"{', '.join(present) or 'nothing'} · {Path(answer.image).name}"


def looked_caption(found: Found, looked: Looked) -> str:
    """A support's line: its class, and whether a person drew."""
    return f"{found.names[looked.way]}{' (drawn)' if looked.drawn else ''}"


def presence_table(found: Found, threshold: float) -> str:
    """HTML: of every query and class the probability of presence, as a bar."""
    rows = []
    for answer in found.answers:
        for way, (name, presence) in enumerate(zip(found.names, answer.presence)):
            first = f'<td class="photo" rowspan="{len(found.names)}">' \
                f'{escape(Path(answer.image).name)}</td>' if way == 0 else ''
            there = presence > threshold
            red, green, blue = WAY_COLOURS[way % len(WAY_COLOURS)]
            rows.append(
                f'<tr class="{"there" if there else "absent"}">{first}'
                f'<td>{escape(name)}</td>'
                f'<td class="bar"><div><span style="width:{100 * presence:.0f}%;'
                f'background:rgb({red},{green},{blue})"></span>'
                f'<i style="left:{100 * threshold:.0f}%"></i></div></td>'
                f'<td>{presence:.2f}</td>'
                f'<td>{"present" if there else "absent"}</td></tr>')
    return f'<table class="presence">{"".join(rows)}</table>'
