"""Something to do when a module is imported, without importing it: `argparse` and `torch` are watched for.

Where somebody only asks whether a module could be imported (`importlib.util.find_spec`), it stays watched.
"""

from __future__ import annotations

import os
import sys
from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def when_loaded(name: str, action: Callable[[], None]) -> None:
    """Call `action` when the module `name` is loaded, now if it is. What it raises is dropped."""
    if name in sys.modules:
        _guarded(action)
        return
    watcher = next((finder for finder in sys.meta_path if isinstance(finder, _Watcher)), None)
    if watcher is None:
        watcher = _Watcher()
        sys.meta_path.insert(0, watcher)
    actions = watcher.actions.setdefault(name, [])
    if action not in actions:
        actions.append(action)


class _Watcher:
    """A finder that finds nothing itself."""

    def __init__(self) -> None:
        self.actions: dict[str, list[Callable[[], None]]] = {}
        self._asking: set[tuple[int, str]] = set()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """The specification that the other finders give, with a loader that tells us."""
        if name not in self.actions or (get_ident(), name) in self._asking:
            return None
        self._asking.add((get_ident(), name))
        try:
            spec = self._ask(name, path, target)
        finally:
            self._asking.discard((get_ident(), name))
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Loader(spec.loader, self)
        return spec

    def loaded(self, name: str) -> None:
        """Do what was to be done, and step aside when nothing is left."""
        for action in self.actions.pop(name, ()):
            _guarded(action)
        if not self.actions and self in sys.meta_path:
            sys.meta_path.remove(self)

    def _ask(self, name: str, path: Any, target: Any) -> Any:
        for finder in [*sys.meta_path]:
            spec = finder.find_spec(name, path, target) if finder is not self and hasattr(finder, "find_spec") else None
            if spec is not None:
                return spec
        return None


class _Loader:
    """The loader of one module, which steps aside when the module is loaded."""

    def __init__(self, loader: Any, watcher: _Watcher) -> None:
        self._loader = loader
        self._watcher = watcher

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: Any) -> Any:
        """As the module's own loader does it."""
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        """As the module's own loader does it; then the module is loaded."""
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._watcher.loaded(module.__name__)


def _guarded(action: Callable[[], None]) -> None:
    try:
        action()
    except Exception:  # the program's import must succeed whatever is wrong with its tracker
        if os.environ.get("GITTRACK_STRICT", "0") not in ("", "0"):
            raise
