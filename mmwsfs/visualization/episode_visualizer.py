from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import cv2
import mmcv
import numpy as np
from mmengine.visualization import Visualizer
from PIL import Image, ImageDraw, ImageFont

from mmwsfs.registry import VISUALIZERS
from mmwsfs.structures import VOID, FewShotDataSample
from mmwsfs.utils.file_names import printable
from mmwsfs.utils.image_file import read_image

from .overlay import WAY_COLOURS

_TITLE_HEIGHT = 18


def read_rgb(path: str) -> np.ndarray:
    """An image file as (H, W, 3) uint8, RGB: as the model sees it.

    What Pillow cannot read, OpenCV may: it is the decoder of some configs.

    Raises:
        ValueError: neither can.
    """
    try:
        return read_image(path)[..., ::-1]
    except Exception as error:
        with contextlib.suppress(cv2.error):  # its assertions
            return mmcv.imread(path, channel_order='rgb', backend='cv2')
        raise ValueError(f"image '{path}' cannot be read: {error}") from error


def overlay(image: np.ndarray, label_map: np.ndarray | None) -> np.ndarray:
    """Show a label map on an image: regions outlined, background darkened.

    Args:
        image: (H, W, 3) uint8, RGB.
        label_map: (h, w) integers, 0 = background, 1..N = way, 255 = void; resized to
            the image. None leaves the image as it is.

    Returns:
        np.ndarray: (H, W, 3) uint8, the same size as the image.
    """
    if label_map is None:
        return image
    labels = np.asarray(cv2.resize(
        label_map.astype(np.uint8), image.shape[1::-1],
        interpolation=cv2.INTER_NEAREST))
    painted = np.ascontiguousarray(0.35 * image, dtype=np.uint8)
    for label in np.unique(labels[labels > 0]):
        colour = np.array([128] * 3) if label == VOID else WAY_COLOURS[
            (label - 1) % len(WAY_COLOURS)]
        region = labels == label
        painted[region] = (0.8 * image[region] + 0.2 * colour).astype(np.uint8)
        contours, _ = cv2.findContours(
            region.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(painted, contours, -1, colour.tolist(), 2)
    return painted


def titled(image: np.ndarray, title: str, size: int) -> np.ndarray:
    """An image fitted into a square of ``size`` pixels under a line of text."""
    tile = Image.new('RGB', (size, size + _TITLE_HEIGHT), 'white')
    picture = Image.fromarray(image)
    picture.thumbnail((size, size))
    tile.paste(picture, (
        (size - picture.width) // 2, _TITLE_HEIGHT + (size - picture.height) // 2))
    font = ImageFont.load_default()
    title = printable(title[:size])  # a pixel a character, at most
    while title and font.getlength(title) > size - 4:
        title = title[:-1]
    ImageDraw.Draw(tile).text((3, 3), title, fill='black', font=font)
    return np.asarray(tile)


def row(tiles: Sequence[tuple[str, np.ndarray, np.ndarray | None]],
        size: int = 200) -> np.ndarray:
    """Tiles of (title, image, label map or None) side by side."""
    return np.concatenate([
        titled(overlay(image, label_map), title, size)
        for title, image, label_map in tiles
    ], axis=1)


@VISUALIZERS.register_module()
class EpisodeVisualizer(Visualizer):
    """Draws an episode: its supports, the query, the truth and the prediction."""

    def draw_episode(self,
                     query: np.ndarray,
                     supports: Sequence[Sequence[np.ndarray]],
                     class_names: Sequence[str],
                     support_masks: Sequence[Any] | np.ndarray | None = None,
                     truth: np.ndarray | None = None,
                     prediction: np.ndarray | None = None,
                     scores: Sequence[float] | None = None) -> np.ndarray:
        """
        Args:
            query: (H, W, 3) uint8, RGB.
            supports: N x K such images.
            class_names: N names.
            support_masks: N x K masks, 0 outside the object; in the way's colour.
            truth, prediction: (h, w) label maps of the query, 0..N or 255.
            scores: N probabilities of presence, 0..1.

        Returns:
            np.ndarray: the picture, (height, width, 3) uint8.
        """
        tiles = []
        for way, (name, images) in enumerate(zip(class_names, supports)):
            for shot, image in enumerate(images):
                mask = None
                if support_masks is not None:
                    mask = (np.asarray(support_masks[way][shot]) > 0) * (way + 1)
                tiles.append((f'support: {name}', image, mask))
        tiles.append(('query', query, None))
        if truth is not None:
            present = [name for way, name in enumerate(class_names, start=1)
                       if (truth == way).any()]
            tiles.append((f"truth: {', '.join(present) or 'absent'}", query, truth))
        if prediction is not None:
            title = 'prediction'
            if scores is not None:
                title += ': p = ' + ', '.join(f'{score:.2f}' for score in scores)
            tiles.append((title, query, prediction))
        return row(tiles)

    def draw_sample(self, sample: FewShotDataSample,
                    classes: Sequence[str]) -> np.ndarray:
        """A predicted episode, its images read from their files.

        Args:
            sample: what the segmentor's ``predict`` returns.
            classes: names of all classes of the dataset.

        Returns:
            np.ndarray: the picture, (height, width, 3) uint8.
        """
        return self.draw_episode(
            read_rgb(sample.query_path),
            [[read_rgb(path) for path in paths] for paths in sample.support_paths],
            [classes[number - 1] for number in sample.class_ids],
            support_masks=sample.support_masks.cpu().numpy(),
            truth=(sample.gt_sem_seg.data[0].cpu().numpy()
                   if 'gt_sem_seg' in sample else None),
            prediction=sample.pred_sem_seg.data[0].cpu().numpy(),
            scores=sample.presence_scores.tolist())
