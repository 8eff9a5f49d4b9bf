"""The notebook runs from top to bottom, as a newcomer would run it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip('nbformat')
nbclient = pytest.importorskip('nbclient')
pytest.importorskip('ipykernel')
pytest.importorskip('gradio', reason='the photographs come with gradio')

NOTEBOOK = Path(__file__).parents[2] / 'demo/mmwsfs_tutorial.ipynb'


def test_every_cell_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By this interpreter; what is printed has the form of what is stored."""
    monkeypatch.setenv('JUPYTER_PLATFORM_DIRS', '1')
    monkeypatch.setenv('IPYTHONDIR', str(tmp_path))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    stored = [cell.get('outputs', []) for cell in notebook.cells]
    manager = nbclient.client.KernelManager()
    manager.kernel_spec.argv[0] = sys.executable
    client = nbclient.NotebookClient(
        notebook, km=manager, timeout=300, resources=dict(
            metadata=dict(path=str(tmp_path))))
    client.execute(env=dict(os.environ))
    for before, cell in zip(stored, notebook.cells):
        kinds = [output.output_type for output in cell.get('outputs', [])]
        assert 'error' not in kinds
        assert kinds == [output.output_type for output in before]
