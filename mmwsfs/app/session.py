"""What the server keeps of a person who has the page open, and for how long."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .finder import Found


@dataclass
class Session:
    """One open page.

    Attributes:
        folder: its own, for what is too large for memory.
        drawn: (class, file of a support) -> (H, W) bool, where the person drew.
        chosen: class and file of the support on which the person draws.
        found: of the last click on "Find".
    """

    folder: Path
    drawn: dict[tuple[int, str], np.ndarray] = field(default_factory=dict)
    chosen: tuple[int, str] | None = None
    found: Found | None = None

    def empty_folder(self) -> Path:
        """The folder, without what it held."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        return self.folder


class Sessions:
    """All pages that are open, by gradio's name for each.

    Args:
        root: where their folders are made.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._open: dict[str, Session] = {}

    def __getitem__(self, name: str | None) -> Session:
        """That of a page; begun where there is none."""
        key = name or ''
        if key not in self._open:
            self._open[key] = Session(
                Path(tempfile.mkdtemp(prefix='session-', dir=self.root)))
        return self._open[key]

    def close(self, name: str | None) -> None:
        """Forget a page, its folder with it."""
        session = self._open.pop(name or '', None)
        if session:
            shutil.rmtree(session.folder, ignore_errors=True)
