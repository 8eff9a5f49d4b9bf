"""A label map on its photograph, at the photograph's own size."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from mmwsfs.structures import VOID

# One colour a way, RGB; void is grey.
WAY_COLOURS = np.array(
    [(230, 60, 60), (60, 130, 240), (70, 190, 90), (240, 170, 40), (170, 80, 220)],
    dtype=np.uint8)
_VOID_COLOUR = np.array([128] * 3, dtype=np.uint8)
_WHITE = (255, 255, 255)
_LINES_A_SIDE = 400  # an outline is this part of the longer side wide


def check_palette(palette: np.ndarray | Sequence[Sequence[int]]) -> np.ndarray:
    """Colours as (K, 3) uint8.

    Args:
        palette: K >= 1 colours, RGB, integers of 0..255.

    Raises:
        ValueError: it is something else.
    """
    try:
        colours = np.array(palette)
    except ValueError:  # rows of several lengths
        colours = np.array(0)
    if (colours.ndim != 2 or colours.shape[1] != 3 or not len(colours)
            or colours.dtype.kind not in 'ui' or colours.min() < 0
            or colours.max() > 255):
        raise ValueError(
            'a palette must be a list of colours (red, green, blue), each 0..255, but '
            f'is {palette!r}')
    return colours.astype(np.uint8)


def check_opacity(opacity: float) -> None:
    """Raise a ValueError where an opacity is not within 0..1."""
    if not 0 <= opacity <= 1:
        raise ValueError(f'opacity={opacity}: give 0 (outlines alone) to 1 (plain)')


def draw_overlay(image_rgb: np.ndarray,
                 label_map: np.ndarray,
                 palette: np.ndarray | Sequence[Sequence[int]] = WAY_COLOURS,
                 opacity: float = 0.5,
                 outline: bool = True) -> np.ndarray:
    """Show a label map on its photograph: regions tinted, and outlined.

    The outline is the colour between two white lines, to be seen on light and dark
    photographs alike; it is as wide as the picture is large.

    Args:
        image_rgb: (H, W, 3) uint8, RGB.
        label_map: (h, w) integers, 0 = background, 1..N = way, 255 = void; brought to
            the image's size.
        palette: (K, 3), RGB, the colours of ways 1..K; they repeat. Void is grey.
        opacity: of the tint, 0 (none) .. 1 (the plain colour).
        outline: whether regions are outlined.

    Returns:
        np.ndarray: (H, W, 3) uint8, RGB; the image is left as it is.

    Raises:
        ValueError: the palette or the opacity is none.
    """
    colours = check_palette(palette)
    check_opacity(opacity)
    height, width = image_rgb.shape[:2]
    labels = np.asarray(label_map).astype(np.uint8)
    if labels.shape != (height, width):
        labels = np.asarray(cv2.resize(
            labels, (width, height), interpolation=cv2.INTER_NEAREST))
    painted = np.array(image_rgb, order='C')
    lines = []
    counts = cv2.calcHist([labels], [0], None, [256], [0, 256]).ravel()
    for label in 1 + np.flatnonzero(counts[1:]):
        colour = (_VOID_COLOUR if label == VOID
                  else colours[(label - 1) % len(colours)])
        region = cv2.inRange(labels, int(label), int(label))
        _tint(painted, region, colour, opacity)
        if outline:
            contours, _ = cv2.findContours(
                region, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
            lines.append((contours, colour.tolist()))
    line = max(1, round(max(height, width) / _LINES_A_SIDE))
    for contours, _ in lines:  # white first: it hides no colour of another region
        cv2.drawContours(
            painted, contours, -1, _WHITE, line + 2 * ((line + 1) // 2), cv2.LINE_AA)
    for contours, colour in lines:
        cv2.drawContours(painted, contours, -1, colour, line, cv2.LINE_AA)
    return painted


def _tint(painted: np.ndarray, region: np.ndarray, colour: np.ndarray,
          opacity: float) -> None:
    """Blend a region, (H, W) of 0 and 255, with a colour, in place."""
    left, top, width, height = cv2.boundingRect(region)
    box = np.s_[top:top + height, left:left + width]
    # Of every channel's 256 values the blended one: a look-up a pixel.
    values = np.arange(256)[:, None] * (1 - opacity) + opacity * colour
    table = values.round().astype(np.uint8)[None]
    cv2.copyTo(cv2.LUT(painted[box], table), region[box], painted[box])


def draw_cutout(image_rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """What a mask marks, on nothing.

    Args:
        image_rgb: (H, W, 3) uint8, RGB.
        mask: (H, W), not 0 where the object is.

    Returns:
        np.ndarray: (H, W, 4) uint8, RGBA, of the image's size. Outside the mask all is
        0: nothing of the photograph is hidden there.
    """
    alpha = (np.asarray(mask) != 0).astype(np.uint8) * 255
    image = np.ascontiguousarray(image_rgb)
    return np.dstack([cv2.bitwise_and(image, image, mask=alpha), alpha])
