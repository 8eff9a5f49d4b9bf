from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from mmwsfs.apis.output.names import ImageStems, common_folder

from .coco import CocoExport
from .export import Export
from .labelme import LabelMeExport
from .png_masks import PngMasksExport
from .sorted_copies import SortedCopies
from .yolo import YoloExport

# What --export takes; each writes to the folder of its name.
EXPORTS: dict[str, type[Export]] = dict(
    coco=CocoExport, yolo=YoloExport, labelme=LabelMeExport, png=PngMasksExport)


class RunningExports:
    """Exports that have begun; see :func:`open_exports`."""

    def __init__(self, exports: Sequence[Export], stems: ImageStems) -> None:
        self._exports = exports
        self._stems = stems

    def add(self, result: Mapping[str, Any]) -> None:
        """Give every export a prediction; in the order of the queries.

        Args:
            result: as :class:`.FewShotInferencer` gives it, of a file.

        Raises:
            OSError: a file cannot be written; it is named.
        """
        stem = self._stems(result['image'])
        for export in self._exports:
            export.add(stem, result)


@contextmanager
def open_exports(out_dir: str | Path, formats: Sequence[str], classes: Sequence[str],
                 queries: Sequence[str | Path], sort_into: str | Path | None = None
                 ) -> Iterator[RunningExports]:
    """Begin exports, and close them where the block ends, however it does.

    Args:
        out_dir: gets a folder for each format, of its name.
        formats: keys of ``EXPORTS``.
        classes: names of the classes, in the order of the label maps.
        queries: the files that are predicted.
        sort_into: folder for :class:`.SortedCopies`. Defaults to None, none.

    Yields:
        RunningExports: to be given the predictions.

    Raises:
        OSError: a file cannot be written; it is named.
    """
    chosen: list[tuple[Export, Path]] = [
        (EXPORTS[name](), Path(out_dir) / name) for name in dict.fromkeys(formats)]
    if sort_into is not None:
        chosen.append((SortedCopies(), Path(sort_into)))
    root = common_folder(queries)
    with ExitStack() as closing:
        for export, folder in chosen:
            export.begin(folder, classes, root)
            closing.callback(export.close)
        yield RunningExports(
            [export for export, _ in chosen], ImageStems(queries, out_dir))
