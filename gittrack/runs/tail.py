"""The end of a console that is too long to keep whole: the last bytes, in a file of fixed size beside console.log.

console.log only ever grows and is folded as it grows, so the end of a long output cannot stand in it before the output
is over. Until then the newest bytes go round in `console.tail` as they came; `close` appends them to console.log, at
the end of the run or, when everybody was killed, before the final cut of whoever folds it.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from gittrack.core import events
from gittrack.core.console import collapse
from gittrack.core.redact import Redactor
from gittrack.lazy import lazy

NAME = "console.tail"
KEPT = 8 * 1024 * 1024
SIZE = KEPT + 1024 * 1024  # more than is kept, so that a kill in the middle of a write damages only what is left out
HEADER = 64

Redact = Callable[[bytes], bytes]


class Tail:
    """Takes any amount of bytes and keeps the last ones. Raises OSError."""

    def __init__(self, directory: str) -> None:
        path = os.path.join(directory, NAME)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._total = _total(self._file)

    def add(self, data: bytes) -> None:
        for piece in (data[at : at + SIZE - KEPT] for at in range(0, len(data), SIZE - KEPT)):
            place = self._total % SIZE
            first = min(len(piece), SIZE - place)
            _write_at(self._file, piece[:first], HEADER + place)
            _write_at(self._file, piece[first:], HEADER)
            self._total += len(piece)
            _write_at(self._file, b"%020d\n" % self._total, 0)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def exists(directory: str) -> bool:
    return os.path.exists(os.path.join(directory, NAME))


def close(directory: str, redact: Redact = lambda data: data) -> None:
    """Append the tail, if there is one, to console.log, behind a line that says how much is missing. Raises OSError."""
    path = os.path.join(directory, NAME)
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        total = _total(file)
        kept = _newest(file, total)
    finally:
        os.close(file)
    left_out = total - len(kept)
    if left_out:
        first = kept.find(b"\n") + 1  # the line that was cut in two goes too
        kept, left_out = kept[first:], left_out + first
    text = redact(collapse(kept))
    if left_out:
        text = b"[gittrack: %d bytes of output left out here]\n" % left_out + text
    _append(os.path.join(directory, events.CONSOLE), text)
    os.unlink(path)


def close_left(directory: str, cache: str) -> None:
    """`close` for whoever folds a run that nobody can finish any more. `cache` is where the secret rules are kept."""
    if exists(directory):
        close(directory, Redactor(lazy("gittrack.config.secret_rules").load(cache)).stream())


def _append(path: str, text: bytes) -> None:
    with open(path, "ab") as log:
        log.write(text)


def _total(file: int) -> int:
    digits = os.pread(file, 20, 0)
    return int(digits) if digits.isdigit() else 0


def _newest(file: int, total: int) -> bytes:
    size = min(total, KEPT)
    start = (total - size) % SIZE
    first = _read_at(file, min(size, SIZE - start), HEADER + start)
    return first + _read_at(file, size - len(first), HEADER)


def _read_at(file: int, size: int, place: int) -> bytes:
    parts = []
    while size > 0 and (part := os.pread(file, size, place)):
        parts.append(part)
        place += len(part)
        size -= len(part)
    return b"".join(parts)


def _write_at(file: int, data: bytes, place: int) -> None:
    view = memoryview(data)
    while view:
        done = os.pwrite(file, view, place)
        view = view[done:]
        place += done
