"""Editing a tree by path without rewriting what did not change.

A commit of a long run replaces a handful of files among thousands; only the directories on their way are read,
encoded and hashed again.
"""

from collections.abc import Callable

from gittrack.git import objects

DIRECTORY = 0o040000
FILE = 0o100644

ReadTree = Callable[[str], bytes]  # oid -> the tree object's data


class TreeEditor:
    """A tree that takes files by path and gives the objects that are new. Starts empty or from an existing tree."""

    def __init__(self, algorithm: str, read: ReadTree, oid: str | None = None) -> None:
        self._algorithm = algorithm
        self._read = read
        self._entries = objects.parse_tree(read(oid), algorithm) if oid else {}
        self._children: dict[str, TreeEditor] = {}

    def put(self, path: str, oid: str, mode: int = FILE) -> None:
        """Set the file at `path` (components joined by "/")."""
        name, _, rest = path.partition("/")
        if not rest:
            self._children.pop(name, None)
            self._entries[name] = objects.Entry(mode, oid)
        else:
            self._child(name).put(rest, oid, mode)

    def write(self, emit: Callable[[objects.Object], None]) -> str:
        """Give every changed tree to `emit`, the inner ones first. Returns the oid of this one."""
        for name, child in self._children.items():
            self._entries[name] = objects.Entry(DIRECTORY, child.write(emit))
        self._children.clear()
        tree = objects.tree(self._entries, self._algorithm)
        emit(tree)
        return tree.oid

    def _child(self, name: str) -> "TreeEditor":
        child = self._children.get(name)
        if child is None:
            entry = self._entries.get(name)
            inner = entry.oid if entry is not None and entry.mode == DIRECTORY else None
            child = self._children[name] = TreeEditor(self._algorithm, self._read, inner)
        return child
