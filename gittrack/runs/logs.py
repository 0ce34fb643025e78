"""The logs of annotations in this clone, read: which there are, and their operations.

A log only grows, and it grows by whole segments or at its last one, so a reader that remembers which blobs it has read
reads only what is new.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gittrack import errors
from gittrack.core import annotations, layout
from gittrack.git.repository import Repository
from gittrack.runs import segments

ROOT, SUFFIX = "ops", ".jsonl"

_PURGED = b'"purged"'
_WRITER = re.compile(r"[0-9a-f]{16}\Z")


class Segment(NamedTuple):
    """One segment of a log as it was read."""

    oid: str
    first: int  # number of its first line in the log
    lines: int


class Change(NamedTuple):
    """How a log differs from what was known of it: `ops` replace all that were known from line `start` on."""

    writer: str
    start: int
    segments: Mapping[int, Segment]
    ops: list[annotations.Op]


def tips(repo: Repository) -> dict[str, str]:
    """Writer -> tip of every log here. A ref that no writer can have is passed over (doctor says it)."""
    found = ((ref[len(layout.LOG) :], tip) for ref, tip in repo.refs(layout.LOG).items())
    return {writer: tip for writer, tip in found if is_writer(writer)}


def is_writer(text: str) -> bool:
    return _WRITER.match(text) is not None


def change(repo: Repository, writer: str, tip: str, known: Mapping[int, Segment]) -> Change:
    """What is new in the log of `writer`, given the segments known of it. Raises DamagedRecord, NewerFormat."""
    layout.check_format(repo.read_path(tip, "format"), layout.log_ref(writer), layout.LOG_FORMAT)
    now = segments.oids(repo, tip, ROOT)
    kept = {}
    for number, oid in now.items():
        if number not in known or known[number].oid != oid:
            break
        kept[number] = known[number]
    start = sum(segment.lines for segment in kept.values())
    return Change(writer, start, *_read(repo, writer, now, kept, start))


def _read(
    repo: Repository, writer: str, now: Mapping[int, str], kept: Mapping[int, Segment], place: int
) -> tuple[dict[int, Segment], list[annotations.Op]]:
    found, ops = dict(kept), []
    new = [number for number in now if number not in kept]
    for number, data in zip(new, repo.read_many([now[number] for number in new]), strict=True):
        if data is None:
            raise errors.DamagedRecord(
                f"the log {layout.log_ref(writer)} lacks {now[number]}", "run `git track doctor`"
            )
        ops += annotations.parse(data, writer, place)
        found[number] = Segment(now[number], place, data.count(b"\n"))
        place += found[number].lines
    return found, ops


def operations(repo: Repository, writers: Iterable[str] | None = None) -> list[annotations.Op]:
    """All operations of these logs (of all: None), read afresh."""
    found: list[annotations.Op] = []
    for writer, tip in tips(repo).items():
        if writers is None or writer in writers:
            found += change(repo, writer, tip, {}).ops
    return found


def tombstones(repo: Repository, at: Mapping[str, str] | None = None) -> annotations.Tombstones:
    """What was purged, as these logs say it (writer -> tip, whether a ref is there yet or not; None: those of this
    clone). Only the lines that speak of it are decoded: a push asks for no more. Raises DamagedRecord, NewerFormat."""
    found: list[annotations.Op] = []
    for writer, tip in (tips(repo) if at is None else at).items():
        layout.check_format(repo.read_path(tip, "format"), layout.log_ref(writer), layout.LOG_FORMAT)
        for data in segments.read(repo, tip, ROOT):
            if _PURGED in data:
                lines = [line for line in data.splitlines(keepends=True) if _PURGED in line]
                found += annotations.parse(b"".join(lines), writer)
    return annotations.tombstones(found)
