"""COCO-20i split lists: from published lists, or from the annotations."""

from __future__ import annotations

import argparse
import gzip
import json
from collections import defaultdict
from pathlib import Path

from mmwsfs.datasets import Coco20iDataset
from mmwsfs.datasets.coco_annotations import object_area, read_coco
from mmwsfs.datasets.split_lists import (
    FOLDS,
    coco_image_name,
    parse_class_images,
    split_classes,
)
from mmwsfs.utils.text_file import decode_text

from .list_files import published_lists, write_list

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
        areas: dict[int, float] = defaultdict(float)
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


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Copy or make the lists as ``mmwsfs convert coco20i`` was told."""
    if args.lists:
        fetch_lists(args.lists, args.out)
        return
    for split, file in zip(('trn', 'val'), args.annotations):
        lists_from_annotations(file, split, args.out, args.min_area)
