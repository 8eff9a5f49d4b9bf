"""Sphinx builds the documentation: ``sphinx-build -W -n -c docs . docs/_build``.

The source is the whole repository, so that links between the README, the configs' pages
and these work on GitHub and in what is built.
"""

from __future__ import annotations

from collections import _tuplegetter

from sphinx.application import Sphinx

import mmwsfs

project = 'mmwsfs'
release = mmwsfs.__version__
root_doc = 'docs/index'
include_patterns = ['README.md', 'docs/**.md', 'configs/**.md']
exclude_patterns = ['.*', 'data', 'docs/_build', 'work_dirs']  # not even looked through

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
myst_heading_anchors = 4

autodoc_default_options = {
    'members': True,
    'show-inheritance': True,
    'special-members': '__call__, __getitem__',
}
autodoc_member_order = 'bysource'
autodoc_typehints_format = 'short'
napoleon_use_ivar = True

# Names of other packages, whose references are on the net: a build does not need it.
nitpick_ignore = [
    ('py:class', name) for name in ('optional', 'Path', 'Runner', 'Tensor')]
nitpick_ignore_regex = [
    ('py:.*', r'(mmcv|mmengine|mmpretrain|mmseg|numpy|PIL|pycocotools|torch)\..*'),
    ('py:class', r'mmwsfs\..*\.(T|Kind|Given|Made)'),  # type variables
    ('py:.*', r'(argparse|collections|concurrent|contextlib|logging)\..*'),
    ('py:.*', r'(np|nn|pathlib)\..*'),
]

html_theme = 'furo'
html_title = f'mmwsfs {release}'
html_show_copyright = False


def skip_aliases(app: Sphinx, what: str, name: str, thing: object, skip: bool,
                 options: object) -> bool:
    """Leave out 'Alias for field number 0' of named tuples: attributes are told."""
    return skip or isinstance(thing, _tuplegetter)


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect('autodoc-skip-member', skip_aliases)
