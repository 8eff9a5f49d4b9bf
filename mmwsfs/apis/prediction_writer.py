from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from mmwsfs.utils.files import whole_file, write_whole
from mmwsfs.visualization.overlay import WAY_COLOURS, draw_cutout, draw_overlay

from .gallery import write_gallery
from .output.csv_table import csv_table
from .output.names import (
    ImageStems,
    UniqueNames,
    class_folders,
    stem_of_class,
)
from .output.regions import class_areas, class_boxes

# None is an image in memory.
Files = Sequence[str | Path | None]
_PICTURE_SIDE = 400
_JPEG: dict[str, Any] = dict(format='JPEG', quality=90)
# Level 1 of 9 takes a quarter of the time of 6 and makes cut-outs a tenth larger.
_PNG: dict[str, Any] = dict(format='PNG', compress_level=1)


def thumbnail(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) BGR -> RGB of at most 400 pixels a side: outlines stay visible."""
    picture = Image.fromarray(np.ascontiguousarray(image[..., ::-1]))
    picture.thumbnail((_PICTURE_SIDE, _PICTURE_SIDE))
    return np.asarray(picture)


class PredictionWriter:
    """Writes predictions into a folder, each as it comes.

    ``vis/NAME.jpg`` is the photograph, at its own size, with the classes upon it;
    ``pred/NAME.png`` the label map with a palette of the same colours;
    ``cutouts/NAME_CLASS.png`` what is of the class, on nothing, cut to its box;
    ``supports/CLASS_1.jpg`` an image that shows the class, with the mask that was used.
    ``predictions.json`` (:mod:`~mmwsfs.apis.output.predictions_json`),
    ``predictions.csv`` and ``gallery.html`` are written last.

    Args:
        out_dir: the folder; made where it does not exist.
        names: of the N classes.
        supports: N x K thumbnails, RGB.
        masks: N of (K, h, w), those that the model used.
        model: what was asked for, for ``predictions.json``. Defaults to None.
        threshold: of presence, for ``predictions.json``. Defaults to 0.5.
        absent_pixels: whether absent classes may have pixels, for
            ``predictions.json``. Defaults to False.
        edges: whether pixels follow the photograph's colours, for
            ``predictions.json``. Defaults to False.
        queries: all that are to come, whose folders are mirrored, see
            :class:`~mmwsfs.apis.output.names.ImageStems`. Defaults to none: all files
            lie in one folder.
        support_images: class name -> files of its supports, None for one in memory.
            Defaults to None.
        negatives: class name -> files of what it is not. Defaults to None.
        palette: (K, 3), RGB, colours of the classes; they repeat.
        opacity: of the colours in ``vis/``, 0..1. Defaults to 0.5.

    Raises:
        OSError: the folder cannot be made.
    """

    def __init__(self, out_dir: str | Path, names: Sequence[str],
                 supports: Sequence[Sequence[np.ndarray]],
                 masks: Sequence[Tensor],
                 model: str | None = None,
                 threshold: float = 0.5,
                 absent_pixels: bool = False,
                 edges: bool = False,
                 queries: Sequence[object] = (),
                 support_images: Mapping[str, Files] | None = None,
                 negatives: Mapping[str, Files] | None = None,
                 palette: np.ndarray | Sequence[Sequence[int]] = WAY_COLOURS,
                 opacity: float = 0.5) -> None:
        self.out_dir = Path(out_dir)
        self.names = list(names)
        self.palette = np.resize(np.array(palette, np.uint8), (255, 3))
        self.opacity = opacity
        self._folders = class_folders(self.names)
        self._stems = ImageStems(queries, self.out_dir)
        self._cutouts = UniqueNames()
        for folder in ('vis', 'pred', 'cutouts', 'supports'):
            (self.out_dir / folder).mkdir(parents=True, exist_ok=True)
        self._content: dict[str, Any] = dict(
            format=1, model=model, threshold=threshold, absent_pixels=absent_pixels,
            edges=edges, classes=self.names,
            colours=dict(zip(self.names, self.palette.tolist())),
            supports=self._write_supports(supports, masks, support_images or {}),
            negatives={name: [image and str(image) for image in images]
                       for name, images in (negatives or {}).items() if images},
            predictions=[])

    def _write_supports(
            self, supports: Sequence[Sequence[np.ndarray]], masks: Sequence[Tensor],
            images: Mapping[str, Files]) -> dict[str, list[dict]]:
        entries: dict[str, list[dict]] = {}
        for label, (name, pictures) in enumerate(zip(self.names, supports), start=1):
            entries[name] = []
            files = images.get(name, [None] * len(pictures))
            for shot, (picture, file) in enumerate(zip(pictures, files)):
                mask = np.asarray(masks[label - 1][shot])
                path = f'supports/{self._folders[name]}_{shot + 1}.jpg'
                self._save(self._overlay(picture, (mask > 0) * label), path, _JPEG)
                entries[name].append(dict(image=file and str(file), picture=path))
        return entries

    def write(self, image: np.ndarray, result: Mapping) -> None:
        """Write one prediction.

        Args:
            image: (H, W, 3) uint8, BGR, the query.
            result: as :class:`.FewShotInferencer` gives it.

        Raises:
            OSError: a file cannot be written; it is named.
        """
        stem = self._stems(result['image'])
        rgb = np.ascontiguousarray(image[..., ::-1])
        labels = result['label_map']
        picture, label_map = f'vis/{stem}.jpg', f'pred/{stem}.png'
        paletted = Image.fromarray(labels)
        paletted.putpalette([0, 0, 0, *self.palette.flatten().tolist()])
        self._save(paletted, label_map, _PNG)
        self._save(self._overlay(rgb, labels), picture, _JPEG)
        boxes = class_boxes(labels, self.names)
        cutouts = {}
        for name, (left, top, width, height) in boxes.items():
            box = np.s_[top:top + height, left:left + width]
            cutout = draw_cutout(rgb[box], labels[box] == 1 + self.names.index(name))
            cutouts[name] = self._cutouts(
                f'cutouts/{stem_of_class(stem, self._folders[name])}') + '.png'
            self._save(Image.fromarray(cutout), cutouts[name], _PNG)
        self._content['predictions'].append(dict(
            image=result['image'], size=labels.shape[::-1], picture=picture,
            label_map=label_map, cutouts=cutouts, presence=result['presence'],
            present=result['present'], areas=class_areas(labels, self.names),
            boxes=boxes))

    def close(self) -> None:
        """Write ``predictions.json``, ``predictions.csv`` and ``gallery.html``.

        Raises:
            OSError: a file cannot be written; it is named.
        """
        write_whole(self.out_dir / 'predictions.json',
                    json.dumps(self._content, indent=2) + '\n')
        write_whole(self.out_dir / 'predictions.csv',
                    csv_table(self._content['predictions']))
        write_gallery(self.out_dir)

    def _overlay(self, image: np.ndarray, label_map: np.ndarray) -> Image.Image:
        return Image.fromarray(
            draw_overlay(image, label_map, self.palette, self.opacity))

    def _save(self, picture: Image.Image, name: str, how: Mapping[str, Any]) -> None:
        """In one step, and in place of a link: what it leads to stays."""
        path = self.out_dir / name
        try:
            with whole_file(path) as temporary:
                picture.save(temporary, **how)
        except OSError as error:
            error.filename = str(path)  # an error of writing names no file
            raise
