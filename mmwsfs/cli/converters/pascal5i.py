"""Pascal-5i split lists: from published lists, or from the masks."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from mmwsfs.datasets import LoadLabelMap, Pascal5iDataset
from mmwsfs.datasets.split_lists import FOLDS, fold_classes, parse_split_list
from mmwsfs.utils.file_names import normal_name, on_disk
from mmwsfs.utils.files import write_whole
from mmwsfs.utils.text_file import decode_text, read_text

from .list_files import published_lists, write_list

CLASSES = Pascal5iDataset.METAINFO['classes']
NUM_CLASSES = len(CLASSES)
MASKS = 'SegmentationClassAug'


def fetch_lists(source: str, out: Path) -> None:
    """Copy the eight lists from a folder or URL."""
    for split, fold, content in published_lists(source, '.txt'):
        path = f'{split}/fold{fold}.txt'
        write_lines(
            out, split, fold, decode_text(content, path, 'split list').splitlines())


def lists_from_masks(voc: Path, out: Path, image_lists: dict[str, Path],
                     min_area: int) -> None:
    """List every image for the classes that cover ``min_area`` pixels of its mask.

    Args:
        voc: folder with ``SegmentationClassAug``.
        out: where to write the lists.
        image_lists: split -> file of image names, one a line.
        min_area: pixels.
    """
    folder = voc / MASKS
    load_mask = LoadLabelMap()
    for split, file in image_lists.items():
        lines: dict[int, list[str]] = {fold: [] for fold in range(FOLDS)}
        for name in image_names(file):
            path = Path(on_disk(str(folder / f'{name}.png')))
            if not path.is_file():
                raise SystemExit(f"'{file}' names '{name}', but '{path}' is missing")
            label_map = load_mask(dict(
                seg_map_path=str(path), classes=CLASSES, seg_fields=[]))['gt_seg_map']
            areas = np.bincount(label_map.ravel(), minlength=256)
            for fold in range(FOLDS):
                lines[fold] += [
                    f'{name}__{number:02d}'
                    for number in fold_classes(fold, NUM_CLASSES)
                    if areas[number] >= min_area]
        for fold in range(FOLDS):
            write_lines(out, split, fold, lines[fold])


def image_names(file: Path) -> list[str]:
    """The names in a list of images, one a line."""
    return [normal_name(name) for name in read_text(file, 'list of images').split()]


def write_lines(out: Path, split: str, fold: int, lines: list[str]) -> None:
    """Check a list and write it."""
    path = out / split / f'fold{fold}.txt'
    entries = parse_split_list(lines, path, NUM_CLASSES)
    write_list(path, ('\n'.join(lines) + '\n').encode(), entries)


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Copy or make the lists as ``mmwsfs convert pascal5i`` was told."""
    if args.lists:
        fetch_lists(args.lists, args.out)
        return
    if not (args.masks / MASKS).is_dir():
        parser.error(
            f"'{args.masks / MASKS}' does not exist: --masks names the folder that "
            f'has {MASKS}, such as VOCdevkit/VOC2012')
    val = args.val_images or args.masks / 'ImageSets/Segmentation/val.txt'
    if not val.is_file():
        parser.error(f"'{val}' does not exist: name --val-images")
    if args.train_images and not args.train_images.is_file():
        parser.error(f"'{args.train_images}' does not exist")
    train = args.train_images
    if train is None:
        train = args.out / 'train_images.txt'
        names = {
            normal_name(path.stem) for path in (args.masks / MASKS).glob('[!.]*.png')}
        names -= set(image_names(val))
        write_whole(train, ''.join(f'{name}\n' for name in sorted(names)))
    lists_from_masks(
        args.masks, args.out, {'trn': train, 'val': val}, args.min_area)
