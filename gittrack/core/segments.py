"""Series that grow without being rewritten: bytes in closed segments and one small open one. docs/format.md §3.

Where a segment ends depends on the bytes and the cuts alone, never on how they were read.
"""

from collections.abc import Callable

from gittrack.core import layout

Put = Callable[[str, bytes], None]

OPEN_LIMIT = 4 * 1024
CLOSE_AT = 1024 * 1024
CONSOLE_LIMIT = 2 * 1024 * 1024


class Segments:
    """One series. `add` bytes, then `end_cut`; every segment that is new or grew is handed to `put(path, data)`."""

    def __init__(self, root: str, suffix: str, limit: int | None = None) -> None:
        self._root = root
        self._suffix = suffix
        self._limit = limit  # longest segment where no line end comes (None: lines are never split)
        self._number = 0
        self._open = bytearray()
        self._grew = False

    def add(self, data: bytes, put: Put) -> None:
        self._open += data
        self._grew = self._grew or bool(data)
        while (end := self._end()) is not None:
            put(self._path(), bytes(self._open[:end]))
            del self._open[:end]
            self._number += 1
            self._grew = bool(self._open)

    def end_cut(self, put: Put) -> None:
        if self._grew:
            put(self._path(), bytes(self._open))
        self._grew = False
        if len(self._open) >= OPEN_LIMIT:
            self._open.clear()
            self._number += 1

    def _path(self) -> str:
        return layout.segment_path(self._root, self._number, self._suffix)

    def _end(self) -> int | None:
        """Where the open segment closes, when it is long enough."""
        if len(self._open) < CLOSE_AT:
            return None
        newline = self._open.find(b"\n", CLOSE_AT - 1, self._limit)
        if newline >= 0:
            return newline + 1
        return self._limit if self._limit is not None and len(self._open) >= self._limit else None
