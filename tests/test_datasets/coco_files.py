"""Made files in the formats of COCO."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

# Fold i holds out class i+1 and class i+5.
CLASSES = ('ant', 'bee', 'cat', 'dog', 'elk', 'fox', 'gnu', 'hen')
CATEGORY_IDS = (1, 2, 3, 5, 8, 13, 21, 34)
WIDTH, HEIGHT = 48, 40


def rectangle(left: int, top: int, right: int, bottom: int) -> list[int]:
    """A polygon of the pixels left <= x < right, top <= y < bottom."""
    return [left, top, right, top, right, bottom, left, bottom]


def rle_list(mask: np.ndarray) -> dict:
    """Uncompressed COCO RLE: runs of 0, 1, 0, ... down the columns."""
    runs, value = [0], 0
    for pixel in mask.T.ravel().tolist():
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    return dict(size=list(mask.shape), counts=runs)


def _annotations(class_id: int, index: int) -> list[dict]:
    """Objects of the image ``index`` of a class: see :func:`make_tiny_coco`."""
    box = np.zeros((HEIGHT, WIDTH), np.uint8)
    box[6:30, 4:30] = 1
    main = dict(class_id=class_id, area=24 * 26, iscrowd=0)
    if index == 0:
        main['segmentation'] = [rectangle(4, 6, 30, 30)]
        return [dict(
            class_id=(class_id + 3) % 8 + 1, area=100, iscrowd=0,
            segmentation=[rectangle(22, 22, 32, 32)]), main]
    if index == 1:
        main['segmentation'] = rle_list(box)
        crowd = np.zeros((HEIGHT, WIDTH), np.uint8)
        crowd[20:36, 20:44] = 1
        return [main, dict(class_id=class_id, area=384, iscrowd=1,
                           segmentation=rle_list(crowd))]
    rle = coco_mask.encode(np.asfortranarray(box))
    main['segmentation'] = dict(size=rle['size'], counts=rle['counts'].decode())
    return [main]


def write_list(path: Path, images: object) -> None:
    """Write a list as the published ones are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(json.dumps(images).encode()))


def make_tiny_coco(root: Path) -> None:
    """8 classes of 3 + 3 images of 48x40 pixels, named and annotated as COCO 2014's.

    The first image of each class shows a smaller object of the fold's other class over
    the main one, both polygons; the second an uncompressed RLE and a crowd that
    overlaps it; the third a compressed RLE. The image ids are 1ck (trn) and 2ck (val)
    for image k of class c. The lists are ``splits/tiny``.
    """
    (root / 'coco/annotations').mkdir(parents=True)
    rng = np.random.default_rng(1)
    for split, release, base in (('trn', 'train2014', 100), ('val', 'val2014', 200)):
        (root / 'coco' / release).mkdir()
        lists = {str(index): [] for index in range(8)}
        images, annotations = [], []
        for class_id in range(1, 9):
            for index in range(3):
                image_id = base + 10 * class_id + index
                name = f'COCO_{release}_{image_id:012d}.jpg'
                pixels = rng.integers(0, 256, (5, 6, 3), np.uint8)
                Image.fromarray(pixels).resize((WIDTH, HEIGHT)).save(
                    root / 'coco' / release / name, quality=90)
                images.append(
                    dict(id=image_id, file_name=name, width=WIDTH, height=HEIGHT))
                for annotation in _annotations(class_id, index):
                    number = annotation.pop('class_id')
                    annotations.append(dict(
                        annotation, id=1000 * base + len(annotations),
                        image_id=image_id, category_id=CATEGORY_IDS[number - 1]))
                    file = f'{release}/{name}'
                    if file not in lists[str(number - 1)]:
                        lists[str(number - 1)].append(file)
        categories = [dict(id=n, name=name) for n, name in zip(CATEGORY_IDS, CLASSES)]
        (root / f'coco/annotations/instances_{release}.json').write_text(json.dumps(
            dict(images=images, annotations=annotations, categories=categories[::-1])))
        for fold in range(4):
            held_out = (str(fold), str(fold + 4))
            write_list(
                root / f'splits/tiny/{split}/fold{fold}.json.gz',
                {index: files if (index in held_out) == (split == 'val') else []
                 for index, files in lists.items()})
