"""Running the command line tools inside the test process."""

from __future__ import annotations

import csv
import json
import os
import runpy
import sys
from pathlib import Path

import mmseg
import pytest
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmseg.visualization import SegLocalVisualizer

from mmwsfs.visualization import EpisodeVisualizer

REPOSITORY = Path(__file__).parents[2]
MMSEG_TOOLS = Path(mmseg.__file__).parent / '.mim/tools'


@pytest.fixture
def run_tool(monkeypatch):
    """Call ``run_tool('tools/train.py', *arguments)``; paths are the repository's."""
    monkeypatch.chdir(REPOSITORY)
    for name in ('MMWSFS_FOLD', 'MMWSFS_WAY', 'MMWSFS_SHOT', 'MMWSFS_SPLITS',
                 'MMWSFS_PROTOCOL', 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'):
        # Registered, so that what the tools set is undone after the test.
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)
    monkeypatch.setenv('LOCAL_RANK', '0')
    # Most of a tiny run's time would go into the layout of the config that is dumped.
    monkeypatch.setattr(
        'yapf.yapflib.yapf_api.FormatCode', lambda text, **kwargs: (text, True))

    def run(tool: str | Path, *arguments) -> None:
        monkeypatch.setattr(sys, 'argv', [str(tool), *map(str, arguments)])
        monkeypatch.syspath_prepend(str(Path(tool).resolve().parent))
        for named in (DefaultScope, EpisodeVisualizer, MessageHub, MMLogger,
                      SegLocalVisualizer):
            named._instance_dict.clear()  # a process of its own would have none
        runpy.run_path(str(tool), run_name='__main__')

    return run


def _last_run(work_dir: Path) -> Path:
    return max(path for path in work_dir.iterdir() if path.name[:2] == '20')


def read_report(work_dir: Path) -> dict:
    """The report of the last test in a work dir."""
    return json.loads((_last_run(work_dir) / 'results.json').read_text())


def read_metrics(work_dir: Path) -> dict:
    """The metrics of the last test in a work dir.

    A model of mmseg's own has no report: its metrics are those that MMEngine dumped.
    """
    folder = _last_run(work_dir)
    if (folder / 'results.json').exists():
        return read_report(work_dir)['metrics']
    return json.loads((folder / f'{folder.name}.json').read_text().splitlines()[-1])


def read_episodes(work_dir: Path) -> list[dict]:
    """The rows of the episodes of the last test in a work dir."""
    with open(_last_run(work_dir) / 'episodes.csv', newline='') as file:
        return list(csv.DictReader(file))


def environment(**variables) -> dict[str, str]:
    """This environment with more variables, for a process of its own."""
    return {**os.environ, **{key: str(value) for key, value in variables.items()}}
