"""Tables as text: Markdown for files, ruled with characters for a terminal."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in GitHub's Markdown, without a newline at the end.

    Args:
        header: names of the columns.
        rows: cells, as many as there are columns; '|' in them is escaped.
    """
    return '\n'.join(
        f"| {' | '.join(_escape(cell) for cell in row)} |"
        for row in (header, ['---'] * len(header), *rows))


def _escape(cell: object) -> str:
    return str(cell).replace('|', r'\|')


def text_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table for a terminal or a log, as wide as its cells, without colours.

    Args:
        header: names of the columns. The first is flush left, the others right.
        rows: cells, as many as there are columns.
    """
    table = Table(box=box.ASCII)
    for index, name in enumerate(header):
        table.add_column(Text(name), justify='right' if index else 'left')
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    text = io.StringIO()
    Console(file=text, width=10_000, color_system=None).print(table)
    return text.getvalue().rstrip('\n')
