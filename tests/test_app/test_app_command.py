"""``mmwsfs app`` from a shell, and what is kept of a session."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mmwsfs.apis import FewShotInferencer
from mmwsfs.app.examples import find_examples
from mmwsfs.app.session import Sessions
from mmwsfs.cli import app


def test_help_is_light() -> None:
    """--help imports nothing heavy that the package itself does not."""
    code = ("import sys, mmwsfs\nbefore = set(sys.modules)\n"
            "from mmwsfs.cli.app import main\n"
            "try:\n    main(['--help'])\nexcept SystemExit:\n"
            "    print(sorted({'torch', 'gradio', 'cv2', 'mmwsfs.apis'}\n"
            "                 & (set(sys.modules) - before)))")
    said = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert '--model' in said.stdout and said.stdout.rstrip().endswith('[]')


def test_without_gradio(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install."""
    monkeypatch.setattr(app, 'find_spec', lambda name: None)
    with pytest.raises(SystemExit, match=r"pip install 'mmwsfs\[app\]'"):
        app.main([])


def test_sessions_keep_apart_and_forget(tmp_path: Path) -> None:
    """Two pages have a folder each; a closed one leaves nothing."""
    sessions = Sessions(tmp_path)
    one, other = sessions['a'], sessions['b']
    assert one is sessions['a'] and one is not other and one.folder != other.folder
    (one.folder / 'x.npy').write_bytes(b'')
    assert list(one.empty_folder().iterdir()) == []
    sessions.close('a')
    sessions.close('a')
    assert not one.folder.exists() and other.folder.exists()


def test_no_photographs_no_examples(tmp_path: Path) -> None:
    """Another gradio may lack them."""
    assert find_examples(tmp_path) == []
    for name in ('cheetah', 'cheetah1', 'lion', 'tower'):
        (tmp_path / f'{name}.jpg').touch()
    assert len(find_examples(tmp_path)) == 2


def test_taken_port(server: Any, photo_model: FewShotInferencer) -> None:
    """It is named, and nothing is left behind."""
    from mmwsfs.app.server import Server

    port = int(server.url.rstrip('/').rsplit(':', 1)[1])
    with pytest.raises(OSError, match=f"'127.0.0.1', port {port}: the port is taken"):
        Server(photo_model, port=port)
    assert server.folder.exists()
