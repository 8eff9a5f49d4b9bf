"""Tables as text, read back cell by cell."""

from __future__ import annotations

import re

from mmwsfs.utils.tables import markdown_table, text_table

HEADER = ('name', 'value')
ROWS = [('a', 1), ('[red]b[/red] :dog:', 'x'), ('c' * 300, '')]


def cells(text: str) -> list[list[str]]:
    """Of the lines that are rows; an escaped '|' separates nothing."""
    rows = [re.split(r'(?<!\\)\|', line)[1:-1]
            for line in text.splitlines() if line.startswith('| ')]
    return [[cell.strip().replace(r'\|', '|') for cell in row] for row in rows]


def test_markdown() -> None:
    """As GitHub reads it."""
    text = markdown_table(HEADER, [*ROWS, ('either|or', '|')])
    assert text.splitlines()[:3] == [
        '| name | value |', '| --- | --- |', '| a | 1 |']
    assert cells(text)[2:] == [
        *([str(cell) for cell in row] for row in ROWS), ['either|or', '|']]
    assert not text.endswith('\n')


def test_markdown_without_rows() -> None:
    assert markdown_table(HEADER, ()) == '| name | value |\n| --- | --- |'


def test_text() -> None:
    """Every cell whole and as it is, without colours; numbers are flush right."""
    text = text_table(HEADER, ROWS)
    assert cells(text) == [
        list(HEADER), *([str(cell) for cell in row] for row in ROWS)]
    lines = text.splitlines()
    assert len({len(line) for line in lines}) == 1 and '\x1b' not in text
    assert lines[3].startswith('| a ') and lines[3].endswith(' 1 |')
