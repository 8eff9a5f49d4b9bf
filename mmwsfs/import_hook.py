"""Something to do as soon as a module has been imported, by whomever."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Finder:
    """Stands before Python's finders, until its module has been imported once."""

    def __init__(self, name: str, act: Callable[[], None]) -> None:
        self.name = name
        self.act = act

    def find_spec(self, name: str, path: Sequence[str] | None,
                  target: ModuleType | None = None) -> ModuleSpec | None:
        """What the later finders find; a module of our name is executed our way."""
        if name != self.name:
            return None
        # Those before this one were asked already, and had nothing.
        own = [finder is self for finder in sys.meta_path].index(True)
        for finder in sys.meta_path[own + 1:]:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    self._wrap(spec.loader)
                return spec
        return None

    def _wrap(self, loader: object) -> None:
        execute = loader.exec_module  # type: ignore[attr-defined]

        def exec_module(module: ModuleType) -> None:
            execute(module)
            # A loader may have several modules, and a module may be reloaded.
            if module.__name__ == self.name and self in sys.meta_path:
                sys.meta_path.remove(self)
                self.act()

        loader.exec_module = exec_module  # type: ignore[attr-defined]


def after_import(name: str, act: Callable[[], None]) -> None:
    """Call ``act`` once: now if a module is imported already, else when it has been.

    It is called in the thread that imports the module, before the import returns; what
    it raises comes out of that import.

    Args:
        name: of the module, with its packages.
        act: what to do. The module is in ``sys.modules`` then.
    """
    if name in sys.modules:
        act()
    else:
        sys.meta_path.insert(0, _Finder(name, act))
