"""What a prediction found, as a table for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from mmwsfs.utils.file_names import printable

LONGEST = 50  # queries that have a line each


class PredictionTable:
    """A line a query, or, of more than 50 queries, a line a class.

    Args:
        classes: their names.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = list(classes)
        self._rows: list[tuple[str, str, str]] = []
        self._present = dict.fromkeys(classes, 0)
        self.queries = 0

    def add(self, result: Mapping[str, Any]) -> None:
        """Take one prediction, as :class:`.FewShotInferencer` gives it."""
        self.queries += 1
        for name in result['present']:
            self._present[name] += 1
        if self.queries > LONGEST:
            return
        cells: dict[bool, list[str]] = {True: [], False: []}
        for name, probability in result['presence'].items():
            cells[name in result['present']].append(f'{name} {probability:.2f}')
        self._rows.append(
            (result['image'], ', '.join(cells[True]), ', '.join(cells[False])))

    def table(self) -> Table:
        """What is to be printed."""
        table = Table()
        rows: Sequence[Sequence[str]]
        if self.queries > LONGEST:
            columns = ('class', 'present in', 'absent in')
            rows = [(name, str(count), str(self.queries - count))
                    for name, count in self._present.items()]
        else:
            columns, rows = ('query', 'present', 'absent'), self._rows
        for column in columns:
            table.add_column(column, overflow='fold')
        for row in rows:
            table.add_row(*map(printable, row))
        return table
