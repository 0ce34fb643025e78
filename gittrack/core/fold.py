"""Fold: journal bytes up to a cut become the files and the message of one commit.

A pure function, taken in steps: the state after cut n is a function of the cuts and of the bytes they cover, whoever
computes it and however often. Memory is bounded by one segment and one piece of input, not by the length of the run.
"""

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from gittrack.core import codec, events, layout, parcels, story
from gittrack.core.segments import CONSOLE_LIMIT, Put, Segments
from gittrack.core.summary import Summary

PIECE = 4 * 1024 * 1024

Read = Callable[[str, int, int], bytes]  # (file, start, end) -> the journal's bytes
Keep = Callable[[parcels.File], None]


class Commit(NamedTuple):
    """All of a commit but its tree and parent."""

    message: str
    author: str  # "Name <mail>"
    seconds: int


class Fold:
    """The state of one run's fold. Call `advance` with every cut in turn."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}
        self.summary = Summary()
        self.params: dict[str, dict[str, Any]] = {}
        self._owners: dict[str, int] = {}
        self._environment: set[str] = set()
        self._warnings: dict[str, None] = {}
        self._start: dict[str, Any] = {}
        self._defaults: set[str] = set()  # facts that stand for want of a better one
        self._end: dict[str, Any] | None = None
        self._at: dict[str, int] = {}
        self._last_w = 0.0
        self._seconds = 0
        self._documents: dict[str, bytes] = {}
        self._format = 0  # until the journal says it
        self._lfs = False
        self._parcels = parcels.Parcels()
        self._metrics = Segments("metrics", ".jsonl")
        self._checkpoints = Segments("checkpoints", ".jsonl")
        self._artifacts = Segments("artifacts", ".jsonl")
        self._console = Segments("console", ".log", CONSOLE_LIMIT)

    def advance(self, cut: events.Cut, read: Read, put: Put, keep: Keep = lambda _file: None) -> Commit:
        """Take in what `cut` covers; give every new or changed file of the tree to `put(path, data)`.

        Files that the run kept go to `keep`, which finds their bytes: whether it does is nothing that the fold knows.
        """
        names = [*events.in_order(cut.files), *(name for name in cut.files if name == events.CONSOLE)]
        for name in names:
            start, end = self._at.get(name, 0), cut.files[name]
            self._at[name] = max(start, end)
            for piece in _pieces(read, name, start, end, lines=name != events.CONSOLE):
                if name == events.CONSOLE:
                    self._console.add(piece, put)
                else:
                    self._take(name, piece, put, keep)
        self._parcels.end_cut()
        for segments in (self._metrics, self._checkpoints, self._artifacts, self._console):
            segments.end_cut(put)
        status = self.status(cut)
        self._document("format", layout.format_line(self._format or 1), put)
        self._document("run.json", codec.dumps(self.facts), put)
        self._document("status.json", codec.dumps(status), put)
        self._document("params.json", codec.dumps(self.params), put)
        self._document("summary.json", codec.dumps(self.summary.document()), put)
        self._seconds = max(self._seconds, int(cut.w))
        return Commit(story.message(cut, self.facts, status, self.summary), story.author(self.facts), self._seconds)

    def status(self, cut: events.Cut) -> dict[str, Any]:
        """status.json as of `cut`."""
        end = self._end or {}
        started = self._start.get("w", 0.0)
        state = end.get("status") or cut.status or "running"
        over = state != "running"
        ended = (end.get("w") or max(self._last_w, started)) if over else None
        duration = end["t"] - self._start.get("t", 0.0) if end else (ended or cut.w) - started
        return {
            "duration": round(max(duration, 0.0), 6),
            "ended": codec.format_time(ended) if ended is not None else None,
            "exit_code": end.get("code"),
            "heartbeat": codec.format_time(cut.w),
            "reason": end.get("reason") if end else (_NO_END.get(state) if over else None),
            "signal": end.get("signal"),
            "started": codec.format_time(started),
            "status": state,
            "warnings": list(self._warnings),
        }

    def _document(self, path: str, data: bytes, put: Put) -> None:
        if self._documents.get(path) != data:
            self._documents[path] = data
            put(path, data)

    def _take(self, name: str, piece: bytes, put: Put, keep: Keep) -> None:
        """Take in whole lines of one process file."""
        for is_metrics, block in _blocks(piece):
            if is_metrics:
                self._take_metrics(block, put)
            else:
                for line in _lines(block):
                    event = events.parse_line(line)
                    if event is None or not events.is_sound(event):
                        continue
                    if event.get("e") in _OF_FILES:
                        self._take_file(event, line, put, keep)
                    else:
                        self._take_event(name, event, line, put)

    def _take_metrics(self, block: bytes, put: Put) -> None:
        before = self.summary.save()
        try:  # one parse for the whole block: a third faster than line by line
            lines = json.loads(b"[" + block[:-1].replace(b"\n", b",") + b"]")
            self.summary.add(lines)
            if not events.is_time(lines[-1].get("w", 0.0)):
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):  # cut short by a full disk or a hand
            self.summary.restore(before)
            block, lines = _sound_lines(block)
            self.summary.add(lines)
        if lines:
            self._last_w = max(self._last_w, lines[-1].get("w", 0.0))
            self._metrics.add(block, put)

    def _take_event(self, name: str, event: dict[str, Any], line: bytes, put: Put) -> None:
        kind = event.get("e")
        if kind == "process" and name == events.STARTER and not self._format:
            said = event.get("format")
            self._format = min(max(said, 1), layout.FORMAT) if type(said) is int else 1
        if kind != "process" or self._format < _FORMAT_OF_FILES:  # one that keeps files may come long after the end
            self._last_w = max(self._last_w, event.get("w") or 0.0)
        if kind == "process":
            return
        if kind == "start" and not self._start:
            self._start = event
            self._lfs = event.get("store") == parcels.LFS
            self._defaults = {key for key in event.get("default") or () if isinstance(key, str)}
            self.facts = event["run"]
            self.summary.declare(event.get("goals") or {})
        elif kind == "params":
            self._take_params(self._order(name), event)
        elif kind == "checkpoint":
            self.summary.checkpoint(event)
            self._checkpoints.add(line, put)
        elif kind == "environment" and (file := events.environment_file(event)) not in self._environment:
            self._environment.add(file)
            value = event["value"]
            data = codec.dumps(value) if file.endswith(".json") else str(value).encode(errors="replace")
            put("environment/" + file, data)
        elif kind == "describe":
            self._describe(event)
        elif kind == "warning":
            self._warnings[event["text"]] = None
        elif kind == "end" and self._end is None:
            self._end = event

    def _take_file(self, event: dict[str, Any], line: bytes, put: Put, keep: Keep) -> None:
        if event["e"] == "artifact":
            self._last_w = max(self._last_w, event.get("w") or 0.0)
        elif not self._parcels.take(event):
            return
        self._format = max(self._format, _FORMAT_OF_FILES)
        self._artifacts.add(line, put)
        if event["e"] == "kept":
            self.summary.artifact(event["size"])
            file = parcels.file_of(event, self._parcels.number(event["parcel"]), self._lfs)
            if file is not None:
                keep(file)

    def _describe(self, event: dict[str, Any]) -> None:
        """Labels that the code gives to a run somebody else started. The command line wins, a default does not."""
        for key in ("name", "experiment", "continues"):
            if event.get(key) and (not self.facts.get(key) or key in self._defaults):
                self._defaults.discard(key)
                self.facts[key] = event[key]
        tags = [*(self.facts.get("tags") or []), *(event.get("tags") or [])]
        if tags:
            self.facts["tags"] = list(dict.fromkeys(tags))

    def _take_params(self, process: int, event: dict[str, Any]) -> None:
        source = event.get("source") or "code"
        for key, value in event["values"].items():
            if source == "code" or process <= self._owners.get(key, process):
                self._owners[key] = process
                self.params[key] = {"source": source, "value": value}

    def _order(self, name: str) -> int:
        """Where a process stands by its start; the file names say it."""
        return -1 if name == events.STARTER else int(name.partition("-")[0])


_OF_FILES = ("artifact", "kept", "parcel")
_FORMAT_OF_FILES = 2
_NO_END = {"crashed": "every process of the run ended without saying how", "killed": "stopped from outside"}


def _pieces(read: Read, name: str, start: int, end: int, lines: bool) -> Iterator[bytes]:
    """The bytes from `start` to `end` in pieces of about PIECE, ending at line ends when `lines`."""
    rest = b""
    while start < end:
        data = read(name, start, min(start + PIECE, end))
        if not data:
            break
        start += len(data)
        data = rest + data
        rest = b""
        if lines:
            whole = events.whole_lines(data)
            rest = data[len(whole) :]
            data = whole
        if data:
            yield data


def _blocks(piece: bytes) -> Iterator[tuple[bool, bytes]]:
    """Cut whole lines into stretches of metric lines and of others: most of a long journal is one stretch."""
    starts = piece.count(b'\n{"m":') + piece.startswith(b'{"m":')
    if starts == piece.count(b"\n"):
        yield True, piece
        return
    for is_metrics, lines in itertools.groupby(_lines(piece), lambda line: line.startswith(b'{"m":')):
        yield is_metrics, b"".join(lines)


def _lines(block: bytes) -> list[bytes]:
    """Not splitlines: that also ends a line at a stray carriage return, and the bytes must come back as they were."""
    return [line + b"\n" for line in block[:-1].split(b"\n")]


def _sound_lines(block: bytes) -> tuple[bytes, list[dict[str, Any]]]:
    """The metric lines of `block` that decode, as bytes and as values."""
    kept: list[bytes] = []
    values: list[dict[str, Any]] = []
    for line in _lines(block):
        event = events.parse_line(line)
        if event is not None and _is_metric_line(event):
            kept.append(line)
            values.append(event)
    return b"".join(kept), values


def _is_metric_line(event: dict[str, Any]) -> bool:
    values = event.get("m")
    return (
        isinstance(values, dict)
        and isinstance(event.get("s"), int)
        and events.is_time(event.get("w", 0.0))
        and all(isinstance(value, (int, float)) for value in values.values())
    )
