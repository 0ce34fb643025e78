"""What a terminal would show in the end: of a line that was rewritten a thousand times, the last state.

Bytes in, bytes out, a piece at a time. Colours and other escape sequences stay; what is resolved is a carriage return
(the line starts anew) and "cursor up" (bars that stand below each other, live tables).
"""

from __future__ import annotations

import re

LONGEST_LINE = 64 * 1024  # a longer line is let through in parts, so that memory stays flat without a line end
MOST_ROWS = 64  # rows that are held back once a program moves the cursor up

_MOVE = re.compile(rb"\n|\x1b\[(\d*)([AFBE])")
_UP = re.compile(rb"\x1b\[(\d*)[AF]")
_ERASE = re.compile(rb".*\x1b\[2K", re.DOTALL)


class Collapser:
    """Feed it output; it returns what can no longer change. `finish` returns the rest."""

    def __init__(self) -> None:
        self._rows: list[bytes] = [b""]  # what may still be rewritten; the last ones are the lowest on the screen
        self._at = 0  # the row the cursor is in
        self._hold = 0  # rows above the lowest that a program has shown to come back to
        self._torn = b""  # an escape sequence of which only the start has come

    def feed(self, data: bytes) -> bytes:
        data = self._torn + data
        self._torn = b""
        ups = _UP.findall(data)
        if not ups and self._hold == 0:
            return self._plain(data)
        self._hold = min(max([self._hold, *(int(count or 1) for count in ups)]), MOST_ROWS)
        return self._screen(data)

    def finish(self) -> bytes:
        """Everything that is held back; a last line without its end stays without."""
        rows = [_collapse(row) for row in self._rows]
        self._rows, self._at = [b""], 0
        return b"\n".join(rows) + self._take_torn()

    def _plain(self, data: bytes) -> bytes:
        """No cursor movement: only the last line is still open."""
        whole, newline, rest = data.rpartition(b"\n")
        if not newline:
            self._rows[0] = _open_row(self._rows[0] + self._cut_torn(rest))
            return self._overlong()
        whole = self._rows[0] + whole
        if b"\r" in whole:
            whole = b"\n".join([_collapse(line) for line in whole.split(b"\n")])
        self._rows[0] = _open_row(self._cut_torn(rest))
        return whole + b"\n" + self._overlong()

    def _screen(self, data: bytes) -> bytes:
        """Cursor movement: rows are kept until the program is too far below to come back."""
        data = self._cut_torn(data)
        out: list[bytes] = []
        at = 0
        for move in _MOVE.finditer(data):
            self._write(data[at : move.start()])
            self._move(move, out)
            at = move.end()
        self._write(data[at:])
        return b"".join(out) + self._overlong()

    def _write(self, text: bytes) -> None:
        if text:
            self._rows[self._at] = _open_row(_ERASE.sub(b"", self._rows[self._at] + text))

    def _move(self, move: re.Match[bytes], out: list[bytes]) -> None:
        kind = move[2]
        count = int(move[1] or 1) if kind else 1
        if kind in (b"A", b"F"):
            self._at = max(0, self._at - count)
            return
        for _ in range(min(count, MOST_ROWS)):
            self._at += 1
            if self._at == len(self._rows):
                self._rows.append(b"")
        while len(self._rows) > self._hold + 1:
            out.append(_collapse(self._rows.pop(0)) + b"\n")
            self._at = max(0, self._at - 1)

    def _overlong(self) -> bytes:
        """Let a line without end go, as far as it is too long to be held."""
        if len(self._rows) > 1 or len(self._rows[0]) <= LONGEST_LINE:
            if self._rows and len(self._rows[self._at]) > LONGEST_LINE:
                self._rows[self._at] = self._rows[self._at][-LONGEST_LINE:]
            return b""
        row, self._rows[0] = self._rows[0], b""
        return row

    def _cut_torn(self, data: bytes) -> bytes:
        """Hold back an escape sequence whose end has not come."""
        at = data.rfind(b"\x1b", max(0, len(data) - 16))
        if at >= 0 and re.fullmatch(rb"\x1b(\[[0-9;]*)?", data[at:]):
            self._torn = data[at:]
            return data[:at]
        return data

    def _take_torn(self) -> bytes:
        torn, self._torn = self._torn, b""
        return torn


def collapse(data: bytes) -> bytes:
    """All of `data` at once."""
    collapser = Collapser()
    return collapser.feed(data) + collapser.finish()


def _collapse(line: bytes) -> bytes:
    """The last text that was written from the line's start."""
    if b"\r" not in line:
        return line
    return line.rstrip(b"\r").rpartition(b"\r")[2]


def _open_row(row: bytes) -> bytes:
    """Like _collapse, for a line that may go on: a return at its end has not rewritten anything yet."""
    if b"\r" not in row:
        return row
    text = row.rstrip(b"\r")
    return text.rpartition(b"\r")[2] + row[len(text) :][:1]
