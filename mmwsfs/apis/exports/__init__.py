"""Predictions as data sets of other programs, and photographs sorted by what they show.

Each is an :class:`.Export`, which is begun, gets one prediction after the other, and is
closed. Whatever stops the run in between, what was added by then is kept. ::

    with open_exports('out', ['coco', 'yolo'], ['cat', 'dog'], photos) as exports:
        for result in inferencer.predict(photos, out_dir='out'):
            exports.add(result)
"""

from .coco import CocoExport
from .export import Export
from .labelme import LabelMeExport
from .png_masks import PngMasksExport
from .running import EXPORTS, RunningExports, open_exports
from .sorted_copies import SortedCopies
from .yolo import YoloExport

__all__ = [
    'EXPORTS', 'CocoExport', 'Export', 'LabelMeExport', 'PngMasksExport',
    'RunningExports', 'SortedCopies', 'YoloExport', 'open_exports'
]
