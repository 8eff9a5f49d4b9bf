"""docs/api: every public thing is on one of its pages."""
from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path
from types import ModuleType

from mmengine.registry import Registry

import mmwsfs

PAGES = Path(__file__).parents[2] / 'docs/api'
REFERENCE = '\n'.join(page.read_text(encoding='utf-8') for page in PAGES.glob('*.md'))
MODULES = set(re.findall(r'^\.\. automodule:: (\S+)$', REFERENCE, re.M))


def documented() -> set[tuple[str, str]]:
    """Module and name of all that the pages' modules hand out."""
    found = set()
    for module in map(importlib.import_module, MODULES):
        for name in getattr(module, '__all__', vars(module)):
            thing = getattr(module, name)
            found.add((getattr(thing, '__module__', ''), name))
    return found


def all_modules() -> list[ModuleType]:
    """Of the package, imported, so that all components are registered."""
    return [importlib.import_module(info.name)
            for info in pkgutil.walk_packages(mmwsfs.__path__, 'mmwsfs.')]


def test_what_a_room_hands_out_is_documented() -> None:
    """Whoever exports a new component from a room finds it in the reference."""
    public = {
        (thing.__module__, name) for module in all_modules()
        for name in getattr(module, '__all__', ())
        if hasattr(thing := getattr(module, name), '__module__')}
    assert len(public) > 50
    assert public <= documented()


def test_components_are_in_the_table() -> None:
    """What a config can name by ``type`` is in the table of components."""
    table = (PAGES / 'index.md').read_text(encoding='utf-8')
    all_modules()
    registered = {
        name for value in vars(mmwsfs.registry).values()
        if isinstance(value, Registry) for name, thing in value.module_dict.items()
        if thing.__module__.startswith('mmwsfs.')}
    assert len(registered) > 30
    assert [name for name in sorted(registered) if f'`{name}`' not in table] == []
