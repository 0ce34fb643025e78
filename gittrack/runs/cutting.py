"""Where the cuts of a live run fall: at each checkpoint, else now and then, and once at the end.

Only the process that holds the run's lock cuts. What is read here is the growth of the journals since the last look.
A checkpoint with files is cut when they are kept, so that its commit has them; those behind it in its journal wait too.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

from gittrack.core import events, parcels
from gittrack.runs import live

EVENT = b'{"e":"'
LOOKED_FOR = (b'checkpoint"', b'kept"', b'parcel"')
PIECE = 4 * 1024 * 1024
PROLOGUE = ("process", "start", "params", "environment", "warning")
FIRST_INTERVAL = 60.0
SHARE_OF_AGE = 0.05  # later cuts come further apart: a run of weeks has hundreds of commits, not tens of thousands
PATIENCE = 300.0  # a checkpoint waits that long for its files where something else is to be committed too

Settle = Callable[[Collection[str], str], None]  # files, and the folder they are in


class Waiting(NamedTuple):
    """A checkpoint that has no cut yet: where its line is, and the parcel it waits for."""

    w: float
    start: int
    end: int
    parcel: str | None


class Cutter:
    """Watches one live folder; knows the cuts that were made and how far each file was looked through."""

    def __init__(self, directory: str, settle: Settle | None = None) -> None:
        """`settle` puts what a cut is going to cover on the disk before the cut, so that every copy of this folder that
        is ever made says the same, a power cut between two of them or not. Who commits what he cuts has that of git."""
        self.directory = directory
        self._settle = settle
        self.cuts = live.read_cuts(directory)
        self._scanned: dict[str, int] = dict(self.cuts[-1].files) if self.cuts else {}
        self._waiting: dict[str, deque[Waiting]] = {}
        self._unkept: dict[str, dict[str, int]] = {}  # parcel -> where its `kept` lines end, until its `parcel` line
        self._kept: dict[str, tuple[tuple[str, int], ...]] = {}  # parcel -> the same, and where its `parcel` line ends
        self._behind = dict(self._scanned)  # up to where nobody has looked for parcels yet
        self._since: dict[str, tuple[int, float]] = {}  # journal -> its first waiting checkpoint, and since when it is
        self._sizes: dict[str, int] = {}

    @property
    def closed(self) -> bool:
        return bool(self.cuts) and self.cuts[-1].reason == "final"

    def started(self, now: float) -> None:
        """The first cut: the events that made the run, up to its first point, however late it is made."""
        if not self.cuts:
            end, w = self._prologue()
            self._append([({events.STARTER: end}, w or now)], "start")

    def checkpoints(self, all_of_them: bool = False) -> None:
        """A cut behind every checkpoint that is not covered yet and whose files are kept, in the order in which they
        were made; with `all_of_them`, whatever became of their files."""
        names = live.process_files(self.directory)
        for name in names:
            self._look(name)
        if self._behind and not all(self._is_kept(one) for waiting in self._waiting.values() for one in waiting):
            self._look_behind()
        found = []
        for order, name in enumerate(names):
            waiting = self._waiting.get(name, ())
            while waiting and (all_of_them or self._is_kept(waiting[0])):
                one = waiting.popleft()
                moved = {**dict(self._kept.get(one.parcel or "", ())), name: one.end}
                found.append((one.w, order, one.end, moved))
                if one.parcel and one.parcel in self._kept:
                    self._kept[one.parcel] = ()  # covered from now on
        self._append([(moved, w) for w, _, _, moved in sorted(found, key=lambda one: one[:3])], "checkpoint")

    def in_time(self, now: float) -> None:
        """A cut of everything, when the last one is long enough ago and something is new."""
        if not self.cuts:
            return
        patient = self._patient(now)
        interval = max(FIRST_INTERVAL, (now - self.cuts[0].w) * SHARE_OF_AGE)
        if now - self.cuts[-1].w < interval:
            return
        ends = self.ends(live.process_files(self.directory))
        ends.update({name: start for name, start in patient.items() if start < ends.get(name, 0)})
        last = self.cuts[-1].files
        if any(end > last.get(name, 0) for name, end in ends.items()):
            self._append([(ends, now)], "time")
            for name, waiting in self._waiting.items():
                while waiting and waiting[0].end <= ends.get(name, 0):
                    waiting.popleft()

    def final(self, now: float, status: str | None, names: Sequence[str]) -> None:
        """The last cut, of all of the journals `names`. `status` counts only where no `end` event was written."""
        self._append([(self.ends(names), now)], "final", status)

    def ends(self, names: Sequence[str]) -> dict[str, int]:
        """The size of each journal in whole lines, and of the console in bytes."""
        ends = {name: self._whole(name) for name in names}
        if size := self._size(events.CONSOLE):
            ends[events.CONSOLE] = size
        return {name: end for name, end in ends.items() if end}

    def _is_kept(self, one: Waiting) -> bool:
        return one.parcel is None or one.parcel in self._kept

    def _patient(self, now: float) -> dict[str, int]:
        """Journal -> the checkpoint in it that waits, and may go on doing so: no time cut goes beyond its start."""
        first = {name: waiting[0].start for name, waiting in self._waiting.items() if waiting}
        for name, start in first.items():
            if self._since.get(name, (None, 0.0))[0] != start:
                self._since[name] = start, now  # by our clock: the time in the line is a claim
        return {name: start for name, start in first.items() if now - self._since[name][1] < PATIENCE}

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
            if self._settle is not None:
                names = sorted({name for moved, _ in moves for name in moved})
                self._settle([os.path.join(self.directory, name) for name in (*names, "")], self.directory)
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

    def _look(self, name: str) -> None:
        """Take in the checkpoints and parcels that are new in one journal."""
        size = self._size(name)
        if size == self._sizes.get(name):
            return
        self._sizes[name] = size
        at, whole = self._scanned.get(name, 0), self._whole(name)
        for event, start, end in self._events(name, at, whole):
            kind = event["e"]
            if kind == "checkpoint":
                w = float(event["w"]) if events.is_time(event.get("w")) else 0.0
                one = Waiting(w, start, end, parcels.parcel_of(event))
                self._waiting.setdefault(name, deque()).append(one)
            elif events.is_sound(event):
                ends = {**self._unkept.pop(event["parcel"], {}), name: end}
                if kind == "parcel":
                    self._kept.setdefault(event["parcel"], tuple(ends.items()))
                elif event["parcel"] not in self._kept:
                    self._unkept[event["parcel"]] = ends
        self._scanned[name] = max(at, whole)

    def _look_behind(self) -> None:
        """Find the parcels before the last cut of another process: kept before their checkpoint, or covered alone."""
        for name, end in self._behind.items():
            if name != events.CONSOLE:
                for event, _, _ in self._events(name, 0, end):
                    if event["e"] == "parcel" and events.is_sound(event):
                        self._kept[event["parcel"]] = ()
        self._behind = {}

    def _events(self, name: str, at: int, end: int) -> Iterator[tuple[dict[str, Any], int, int]]:
        """The events LOOKED_FOR between two offsets of a journal, with start and end of their lines."""
        if at >= end:
            return
        with open(os.path.join(self.directory, name), "rb") as file:
            while at < end:
                file.seek(at)
                piece = _lines_at(file, min(PIECE, end - at))[: end - at]
                for event, start, stop in _events_in(piece):
                    yield event, at + start, at + stop
                at += len(piece)

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


def _events_in(piece: bytes) -> Iterator[tuple[dict[str, Any], int, int]]:
    text = b"\n" + piece
    at = text.find(b"\n" + EVENT)
    while at >= 0:
        stop = text.index(b"\n", at + 1)
        if text.startswith(LOOKED_FOR, at + 1 + len(EVENT)):
            event = events.parse_line(text[at + 1 : stop])
            if event is not None:
                yield event, at, stop
        at = text.find(b"\n" + EVENT, stop)
