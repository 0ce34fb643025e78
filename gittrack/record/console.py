"""Records what the command prints, in memory that does not grow and at nearly the speed of a pipe.

The first megabytes are resolved line by line (rewritten progress bars, secrets) and appended to console.log as they
come. What is beyond goes round raw in the tail (`gittrack.runs.tail`), of which only the last megabytes are ever looked
at: a script that prints a gigabyte must not wait for regular expressions.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from gittrack.core import events
from gittrack.core.console import Collapser
from gittrack.runs import tail

HEAD = 8 * 1024 * 1024

Redact = Callable[[bytes], bytes]


class Console:
    """Opened by the one process that drains the command's output. A full disk ends the record, never the command."""

    def __init__(self, directory: str, redact: Redact) -> None:
        self.failed: OSError | None = None
        self._directory = directory
        self._redact = redact
        self._collapser = Collapser()
        self._tail: tail.Tail | None = None
        self._log = -1
        self._size = 0
        self._guard(self._open)

    def feed(self, data: bytes) -> None:
        """Take in what was read from the command."""
        if self.failed is None:
            self._guard(self._take, data)

    def finish(self) -> None:
        """Nothing more comes: write what was held back. May be called twice."""
        if self.failed is None:
            self._guard(self._finish)
        if self._log >= 0:
            os.close(self._log)
            self._log = -1

    def _guard(self, work: Callable[..., None], *args: bytes) -> None:
        try:
            work(*args)
        except OSError as error:
            self.failed = error

    def _open(self) -> None:
        path = os.path.join(self._directory, events.CONSOLE)
        self._log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._size = os.fstat(self._log).st_size
        if tail.exists(self._directory):  # the process that recorded before us was killed
            self._tail = tail.Tail(self._directory)

    def _take(self, data: bytes) -> None:
        if self._tail is not None:
            self._tail.add(data)
            return
        self._write(self._collapser.feed(data[:HEAD]))
        if len(data) > HEAD:
            self._take(data[HEAD:])

    def _write(self, text: bytes) -> None:
        """Append resolved text; begin the tail where the head is full."""
        if not text:
            return
        text = self._redact(text)
        room = HEAD - self._size
        if len(text) > room:
            cut = text.rfind(b"\n", 0, max(room, 0)) + 1
            _write_all(self._log, text[:cut])
            self._tail = tail.Tail(self._directory)
            self._tail.add(text[cut:] + self._collapser.finish())
            self._size = HEAD
            return
        _write_all(self._log, text)
        self._size += len(text)

    def _finish(self) -> None:
        if self._tail is None and self._log >= 0:
            self._write(self._collapser.finish())
        if self._tail is not None:
            self._tail.close()
            tail.close(self._directory, self._redact)
            self._tail = None


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
