"""``predictions.csv``: a row a photograph and class."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

COLUMNS = ('image', 'class', 'probability', 'present', 'area', 'left', 'top', 'width',
           'height')


def csv_table(predictions: Iterable[Mapping[str, Any]]) -> str:
    """The table as text.

    Args:
        predictions: entries of ``predictions.json``, see
            :mod:`~mmwsfs.apis.output.predictions_json`.

    Returns:
        str: one line a prediction and class under a line of ``COLUMNS``.
        ``present`` is 1 or 0, ``area`` a share of the photograph, the box in pixels and
        empty where the class has none.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(COLUMNS)
    for entry in predictions:
        for name, probability in entry['presence'].items():
            writer.writerow([
                entry['image'] or '', name, f'{probability:.6f}',
                int(name in entry['present']), f"{entry['areas'][name]:.6f}",
                *entry['boxes'].get(name, [''] * 4)])
    return text.getvalue()
