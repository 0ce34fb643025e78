"""Editing a tree by path without rewriting what did not change.

A commit of a long run replaces a handful of files among thousands; only the directories on their way are read,
encoded and hashed again.
"""

from collections.abc import Callable

from gittrack.git import objects

ReadTree = Callable[[str], bytes]  # oid -> the tree object's data
Emit = Callable[[objects.Object, str | None], None]  # a new object, and the oid of the version before it


class TreeEditor:
    """A tree that takes files by path and gives the objects that are new. Starts empty or from an existing tree."""

    def __init__(self, algorithm: str, read: ReadTree, oid: str | None = None) -> None:
        self._algorithm = algorithm
        self._read = read
        self._oid = oid  # of the last version written, None when there is none
        self._entries = objects.parse_tree(read(oid), algorithm) if oid else {}
        self._rows = dict(objects.row(name, entry) for name, entry in self._entries.items())
        self._children: dict[str, TreeEditor] = {}
        self._changed = oid is None

    def put(self, path: str, oid: str, mode: int = objects.FILE) -> str | None:
        """Set the file at `path` (components joined by "/"). Returns the oid that stood there."""
        self._changed = True
        name, _, rest = path.partition("/")
        if rest:
            return self._child(name).put(rest, oid, mode)
        before = self._entries.get(name)
        self._children.pop(name, None)
        self._set(name, objects.Entry(mode, oid))
        return before.oid if before is not None else None

    def get(self, path: str) -> objects.Entry | None:
        """The entry at `path`; None when there is none."""
        name, _, rest = path.partition("/")
        entry = self._entries.get(name)
        if not rest:
            return entry
        known = name in self._children or (entry is not None and entry.mode == objects.DIRECTORY)
        return self._child(name).get(rest) if known else None

    def write(self, emit: Emit) -> str:
        """Give every changed tree to `emit`, the inner ones first. Returns the oid of this one."""
        if not self._changed and self._oid is not None:
            return self._oid
        for name, child in [*self._children.items()]:
            if child._changed:
                self._set(name, objects.Entry(objects.DIRECTORY, child.write(emit)))
            else:  # its series has gone on to another directory; to look at all of them would cost more and more
                del self._children[name]
        tree = objects.tree_of(self._rows, self._algorithm)
        emit(tree, self._oid)
        self._oid = tree.oid
        self._changed = False
        return tree.oid

    def _set(self, name: str, entry: objects.Entry) -> None:
        """One entry more, or another one; only its row is encoded again."""
        key, row = objects.row(name, entry)
        before = self._entries.get(name)
        if before is not None and (before.mode == objects.DIRECTORY) != (entry.mode == objects.DIRECTORY):
            del self._rows[objects.row(name, before)[0]]
        self._entries[name] = entry
        self._rows[key] = row

    def _child(self, name: str) -> "TreeEditor":
        child = self._children.get(name)
        if child is None:
            entry = self._entries.get(name)
            inner = entry.oid if entry is not None and entry.mode == objects.DIRECTORY else None
            child = self._children[name] = TreeEditor(self._algorithm, self._read, inner)
        return child
