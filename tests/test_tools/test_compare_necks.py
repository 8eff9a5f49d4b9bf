"""compare_necks.py on CST and EMAT with few patches."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = 'tools/analysis_tools/compare_necks.py'
CONFIGS = ('configs/_base_/models/cst_dinov2-vit-s.py',
           'configs/wsfs/emat_dinov2-vit-s_pascal5i_1shot.py')
COUNTS = [['cst_dinov2-vit-s', '77,488', '366,004'],
          ['emat_dinov2-vit-s_pascal5i_1shot', '28,240', '70,036']]


def cells_of(text):
    """The rows of a table, without the rule below its header."""
    rows = [
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in text.splitlines()]
    assert len(rows) == 2 + len(CONFIGS) and len({len(row) for row in rows}) == 1
    return [rows[0], *rows[2:]]


def test_times(run_tool, one_thread, capsys, monkeypatch):
    """In units of the first config's; keys kept are those of the object.

    By a clock that takes 2 s for each run of the first config, 3 s for the second's.
    """
    readings = []

    def process_time():
        run, end = divmod(len(readings), 2)
        readings.append((2, 3)[run % 2] * end)
        return readings[-1]

    monkeypatch.setattr('time.process_time', process_time)
    run_tool(TOOL, *CONFIGS, '--grid', 8, '--object', 0.25)
    header, *rows = cells_of(capsys.readouterr().out)
    assert header[3:] == ['keys kept', 'forward', 'forward and backward']
    assert [row[:3] for row in rows] == COUNTS
    # A square of half the side, and CLS.
    assert [row[3] for row in rows] == ['37 of 145', '101 of 401']
    assert [row[4:] for row in rows] == [['1.00 (2.00 s)'] * 2, ['1.50 (3.00 s)'] * 2]
    assert len(readings) == 2 * 2 * 2 * 6  # start and end; columns; configs; rounds


@pytest.mark.skipif(
    not Path('/proc/self/clear_refs').exists(), reason='peaks are measured on Linux')
def test_peaks(monkeypatch):
    """At least the query's normalised patches; more with the backward pass."""
    monkeypatch.chdir(Path(__file__).parents[2])
    output = subprocess.run(
        [sys.executable, TOOL, *CONFIGS, '--grid', '24', '--peak'], check=True,
        capture_output=True, text=True).stdout
    _, *rows = cells_of(output)
    assert [row[:3] for row in rows] == COUNTS
    assert [row[3] for row in rows] == ['145 of 145', '401 of 401']
    query, correlation = (4 * 12 * 24 * 24 * x / 1e6 for x in (384, 6 * 401))
    for row in rows:
        forward, both = (int(cell.removesuffix(' MB')) for cell in row[4:])
        assert query < forward < both < query + correlation


def test_share_of_the_object(run_tool, capsys):
    """An empty object would compare nothing."""
    with pytest.raises(SystemExit):
        run_tool(TOOL, *CONFIGS, '--object', 0)
    assert '0 is not above 0 and at most 1' in capsys.readouterr().err
