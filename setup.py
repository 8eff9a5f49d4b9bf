"""What setup.cfg cannot say: ``.mim``, and the README with absolute links.

MMEngine looks for configs, tools and the index of models of an installed package in its
folder ``.mim``. A wheel gets copies, an editable install links to the checkout.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
URL = 'https://github.com/mmwsfs/mmwsfs'
MIM = ('configs', 'tools', 'model-index.yml')
PICTURES = ('.png', '.svg', '.jpg', '.gif')


def long_description() -> str:
    """The README, whose links a package index could not follow."""
    def absolute(link: re.Match[str]) -> str:
        target = link[1]
        path = target.partition('#')[0]
        return f"]({URL}/{'raw' if path.endswith(PICTURES) else 'blob'}/main/{target})"

    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    return re.sub(r'\]\((?!\w+:|#)([^)\s]+)\)', absolute, text)


def copy(source: Path, target: Path) -> None:
    """A file or folder, without what Python keeps beside it."""
    if source.is_dir():
        shutil.copytree(source, target,
                        ignore=shutil.ignore_patterns('__pycache__', '*.py[co]'))
    else:
        shutil.copy2(source, target)


def remove(path: Path) -> None:
    """What an earlier installation has put there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def link(source: Path, target: Path) -> None:
    """Or a copy, where links cannot be made: Windows allows them to some alone."""
    try:
        target.symlink_to(os.path.relpath(source, target.parent))
    except OSError:
        copy(source, target)


class BuildPy(build_py):
    """Fills ``.mim``."""

    def run(self) -> None:
        super().run()
        place = link if self.editable_mode else copy
        package = ROOT if self.editable_mode else Path(self.build_lib)
        folder = package / 'mmwsfs/.mim'
        folder.mkdir(parents=True, exist_ok=True)
        for name in MIM:
            remove(folder / name)
            place(ROOT / name, folder / name)


setup(
    cmdclass=dict(build_py=BuildPy),
    long_description=long_description(),
    long_description_content_type='text/markdown')
