"""COCO-20i split lists: from published lists, or from the annotations.

    coco20i.py OUT --lists DIR_OR_URL
        copies trn/fold*.json.gz and val/fold*.json.gz from a folder, or from a URL
        under which they lie, after checking them.
    coco20i.py OUT --annotations TRAIN.json VAL.json [--min-area 2048]
        makes lists from COCO JSON files: an image is listed for a class whose objects,
        crowds left out, have at least so many pixels in sum. Training lists hold
        TRAIN's images, test lists VAL's. How the published lists were made nobody wrote
        down; this is a documented stand-in, and numbers measured with it do not compare
        with published ones.

A list is gzipped JSON, {class index 0..79: [image files]}. OUT is a folder such as
data/splits/coco20i. The counts are printed at the end.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import Counter
from pathlib import Path

from list_files import published_lists, write_list

from mmwsfs.datasets import Coco20iDataset
from mmwsfs.datasets.coco_annotations import object_area, read_coco
from mmwsfs.datasets.split_lists import (
    FOLDS,
    coco_image_name,
    parse_class_images,
    split_classes,
)
from mmwsfs.utils.text_file import decode_text

CLASSES = Coco20iDataset.METAINFO['classes']


def fetch_lists(source: str, out: Path) -> None:
    """Copy the eight lists from a folder or URL."""
    for split, fold, content in published_lists(source, '.json.gz'):
        write_content(out, split, fold, content)


def lists_from_annotations(file: Path, split: str, out: Path, min_area: float) -> None:
    """List every image for the classes whose objects have ``min_area`` pixels in sum.

    Args:
        file: COCO JSON file.
        split: 'trn' or 'val', whose lists to write.
        out: where to write the lists.
        min_area: pixels, of the annotations' ``area``.
    """
    coco, numbers = read_coco(file, CLASSES)
    images: dict[int, list[str]] = {n: [] for n in range(1, len(CLASSES) + 1)}
    for image_id, image in sorted(coco.imgs.items()):
        name = image['file_name']
        if int(coco_image_name(name)) != image_id:
            raise SystemExit(
                f"'{file}' gives image '{name}' the id {image_id}: a file name has to "
                'end with the id')
        areas: Counter[int] = Counter()
        for annotation in coco.imgToAnns[image_id]:
            if not annotation.get('iscrowd', 0):
                areas[numbers[annotation['category_id']]] += object_area(
                    coco, annotation)
        for number, area in areas.items():
            if area >= min_area:
                images[number].append(name)
    for fold in range(FOLDS):
        held = split_classes(split, fold, len(CLASSES), interleaved=True)
        content = {str(number - 1): names if number in held else []
                   for number, names in images.items()}
        write_content(
            out, split, fold, gzip.compress(json.dumps(content).encode(), mtime=0))


def write_content(out: Path, split: str, fold: int, content: bytes) -> None:
    """Check a list and write it: as it is, if it is UTF-8 without byte-order mark."""
    path = out / split / f'fold{fold}.json.gz'
    entries = parse_class_images(
        content, path, split_classes(split, fold, len(CLASSES), interleaved=True))
    text = gzip.decompress(content)
    plain = decode_text(text, path, 'split list').encode()
    if plain != text:
        content = gzip.compress(plain, mtime=0)
    write_list(path, content, entries)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out', type=Path, help='folder for the lists')
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--lists', help='folder or URL of published lists')
    source.add_argument(
        '--annotations', type=Path, nargs=2, metavar=('TRAIN', 'VAL'),
        help='COCO JSON files, to make lists from them')
    parser.add_argument('--min-area', type=float, default=2048, help='pixels')
    args = parser.parse_args()
    if args.lists:
        fetch_lists(args.lists, args.out)
        return
    for split, file in zip(('trn', 'val'), args.annotations):
        lists_from_annotations(file, split, args.out, args.min_area)


if __name__ == '__main__':
    try:
        main()
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error
