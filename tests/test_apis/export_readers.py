"""Readers of exported labels, by the rules of the programs whose form it is."""
from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import yaml
from PIL import Image, ImageDraw


def read_yolo(folder: Path, name: str) -> dict[str, np.ndarray]:
    """Class -> mask of ``images/NAME``, as ultralytics reads a data set.

    It takes the image's path with ``labels`` for ``images``, lines of more than six
    numbers as polygons, cuts off the decimals of points and fills by ``cv2.fillPoly``.
    """
    data = yaml.safe_load((folder / 'data.yaml').read_text(encoding='utf-8'))
    image = folder / data['path'] / data['train'] / name
    assert data['train'] == data['val']
    with Image.open(image) as picture:
        width, height = picture.size
    masks = {label: np.zeros((height, width), np.uint8)
             for label in data['names'].values()}
    labels = folder / 'labels' / Path(name).with_suffix('.txt')
    for line in labels.read_text().splitlines():
        number, *shares = line.split()
        assert len(shares) >= 6 and len(shares) % 2 == 0
        points = np.array(shares, np.float32).reshape(-1, 2)
        assert points.min() >= 0 and points.max() <= 1
        one = np.zeros((height, width), np.uint8)
        cv2.fillPoly(one, [(points * (width, height)).astype(np.int32)], 1)
        masks[data['names'][int(number)]] |= one
    return {name: mask > 0 for name, mask in masks.items()}


def read_labelme(path: Path) -> dict[str, np.ndarray]:
    """Class -> mask, as ``labelme.LabelFile`` and ``labelme.utils.shape_to_mask`` do.

    The image is found from the JSON's folder and must be of the stated size; points are
    lists of two numbers.
    """
    content = json.loads(path.read_text(encoding='utf-8'))
    with Image.open(path.parent / content['imagePath']) as image:
        assert image.size == (content['imageWidth'], content['imageHeight'])
        size = image.size
    assert content['imageData'] is None and isinstance(content['flags'], dict)
    masks: dict[str, np.ndarray] = {}
    for shape in content['shapes']:
        assert shape['shape_type'] == 'polygon' and shape['flags'] == {}
        assert isinstance(shape['group_id'], int) and shape['mask'] is None
        assert len(shape['points']) > 2
        picture = Image.new('L', size)
        ImageDraw.Draw(picture).polygon(
            [tuple(point) for point in shape['points']], outline=1, fill=1)
        mask = np.array(picture) > 0
        masks[shape['label']] = masks.get(shape['label'], False) | mask
    return masks


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two masks."""
    return float((one & other).sum() / (one | other).sum())
