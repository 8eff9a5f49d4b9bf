"""What a person takes home: one zip of all that was found."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch

from mmwsfs.apis import label_map
from mmwsfs.apis.prediction_writer import PredictionWriter
from mmwsfs.utils.image_file import read_image

from .finder import Found


def write_zip(found: Found, threshold: float, opacity: float, model: str | None,
              folder: Path) -> Path:
    """Write pictures, label maps and numbers of all queries, and zip them.

    Args:
        found: the answers.
        threshold, opacity: as on the screen.
        model: its name, for ``predictions.json``.
        folder: where to write.

    Returns:
        Path: ``mmwsfs.zip`` in it; what the :class:`.PredictionWriter` writes.
    """
    out = folder / 'mmwsfs'
    shutil.rmtree(out, ignore_errors=True)
    looked = [[each for each in found.looked if each.way == way]
              for way in range(len(found.classes))]
    writer = PredictionWriter(
        out, found.names, [[each.picture for each in shots] for shots in looked],
        [torch.stack([each.mask for each in shots]) for shots in looked],
        model=model, threshold=threshold, edges=found.edges, opacity=opacity,
        support_images={given.name: [Path(path).name for path in given.supports]
                        for given in found.classes},
        negatives={given.name: [Path(path).name for path in given.negatives]
                   for given in found.classes})
    for answer in found.answers:
        presence = dict(zip(found.names, answer.presence))
        writer.write(np.ascontiguousarray(read_image(answer.image)), dict(
            image=Path(answer.image).name, presence=presence,
            present=[name for name, p in presence.items() if p > threshold],
            label_map=label_map(answer.probs(), answer.presence, threshold)))
    writer.close()
    return Path(shutil.make_archive(str(out), 'zip', out))
