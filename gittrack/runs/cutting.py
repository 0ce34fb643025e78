"""Where the cuts of a live run fall: at each checkpoint, else now and then, and once at the end.

Only the process that holds the run's lock cuts. What is read here is the growth of the journals since the last look.
"""

import errno
import os
from collections.abc import Mapping, Sequence
from typing import BinaryIO

from gittrack.core import events
from gittrack.runs import live

CHECKPOINT = b'{"e":"checkpoint"'
PIECE = 4 * 1024 * 1024
PROLOGUE = ("process", "start", "params", "environment", "warning")
FIRST_INTERVAL = 60.0
SHARE_OF_AGE = 0.05  # later cuts come further apart: a run of weeks has hundreds of commits, not tens of thousands


class Cutter:
    """Watches one live folder; knows the cuts that were made and how far each file was looked through."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.cuts = live.read_cuts(directory)
        self._scanned: dict[str, int] = dict(self.cuts[-1].files) if self.cuts else {}

    @property
    def closed(self) -> bool:
        return bool(self.cuts) and self.cuts[-1].reason == "final"

    def started(self, now: float) -> None:
        """The first cut: the events that made the run, up to its first point, however late it is made."""
        if not self.cuts:
            end, w = self._prologue()
            self._append([({events.STARTER: end}, w or now)], "start")

    def checkpoints(self) -> None:
        """A cut behind every checkpoint that is not covered yet, in the order in which they were made."""
        found = []
        for order, name in enumerate(live.process_files(self.directory)):
            for w, end in self._new_checkpoints(name):
                found.append((w, order, end, name))
        self._append([({name: end}, w) for w, _, end, name in sorted(found)], "checkpoint")

    def in_time(self, now: float) -> None:
        """A cut of everything, when the last one is long enough ago and something is new."""
        if not self.cuts:
            return
        interval = max(FIRST_INTERVAL, (now - self.cuts[0].w) * SHARE_OF_AGE)
        if now - self.cuts[-1].w < interval:
            return
        ends = self.ends(live.process_files(self.directory))
        if ends != dict(self.cuts[-1].files):
            self._append([(ends, now)], "time")

    def final(self, now: float, status: str | None, names: Sequence[str]) -> None:
        """The last cut, of all of the journals `names`. `status` counts only where no `end` event was written."""
        self._append([(self.ends(names), now)], "final", status)

    def ends(self, names: Sequence[str]) -> dict[str, int]:
        """The size of each journal in whole lines, and of the console in bytes."""
        ends = {name: self._whole(name) for name in names}
        if size := self._size(events.CONSOLE):
            ends[events.CONSOLE] = size
        return {name: end for name, end in ends.items() if end}

    def _prologue(self) -> tuple[int, float | None]:
        """Where the starter's first metric or checkpoint line begins, and when the start event was written."""
        end, w = 0, None
        with open(os.path.join(self.directory, events.STARTER), "rb") as file:
            for line in file:
                event = events.parse_line(events.whole_lines(line)) or {}
                if event.get("e") not in PROLOGUE:
                    break
                end += len(line)
                w = event["w"] if event["e"] == "start" and events.is_time(event.get("w")) else w
        return end, w

    def _append(self, moves: list[tuple[Mapping[str, int], float]], reason: str, status: str | None = None) -> None:
        """One cut for each (files that moved, time), flushed: a ref must never say more than the cuts do."""
        cuts: list[events.Cut] = []
        last = self.cuts[-1] if self.cuts else None
        for moved, w in moves:
            files = dict(last.files) if last else {}
            files.update({name: max(end, files.get(name, 0)) for name, end in moved.items()})
            last = events.Cut(len(self.cuts) + len(cuts), files, reason, status, max(w, last.w) if last else w)
            cuts.append(last)
        if cuts:
            self._write(b"".join(map(events.cut_line, cuts)))
            self.cuts += cuts

    def _write(self, lines: bytes) -> None:
        path = os.path.join(self.directory, events.CUTS)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":  # a kill in the middle of a write left half a line
                lines = b"\n" + lines
            if os.write(descriptor, lines) < len(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _new_checkpoints(self, name: str) -> list[tuple[float, int]]:
        """Time and end offset of the checkpoint lines that are new in one journal."""
        found: list[tuple[float, int]] = []
        at = self._scanned.get(name, 0)
        end = self._whole(name)
        if at >= end:
            return found
        with open(os.path.join(self.directory, name), "rb") as file:
            while at < end:
                file.seek(at)
                piece = _lines_at(file, min(PIECE, end - at))
                found += [(w, at + stop) for w, stop in _checkpoints_in(piece)]
                at += len(piece)
        self._scanned[name] = at
        return found

    def _whole(self, name: str) -> int:
        """The offset behind the last line end."""
        size = self._size(name)
        if size == 0:  # or taken back by a process that came too late
            return 0
        with open(os.path.join(self.directory, name), "rb") as file:
            while size > 0:
                start = max(0, size - 64 * 1024)
                file.seek(start)
                newline = file.read(size - start).rfind(b"\n")
                if newline >= 0:
                    return start + newline + 1
                size = start
        return 0

    def _size(self, name: str) -> int:
        try:
            return os.stat(os.path.join(self.directory, name)).st_size
        except FileNotFoundError:
            return 0


def _lines_at(file: BinaryIO, size: int) -> bytes:
    """About `size` bytes of whole lines from here on; more when the first line alone is longer."""
    piece = file.read(size)
    while b"\n" not in piece:
        piece += file.read(size)
    return events.whole_lines(piece)


def _checkpoints_in(piece: bytes) -> list[tuple[float, int]]:
    found = []
    text = b"\n" + piece
    at = text.find(b"\n" + CHECKPOINT)
    while at >= 0:
        stop = text.index(b"\n", at + 1)
        event = events.parse_line(text[at + 1 : stop])
        if event is not None:
            found.append((float(event["w"]) if events.is_time(event.get("w")) else 0.0, stop))
        at = text.find(b"\n" + CHECKPOINT, stop)
    return found
