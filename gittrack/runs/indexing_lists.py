"""The index and the lists of archives: which segments are new, and which rows that changes.

A list of 20,000 runs is 40 MB, so a segment is read once in its life, and not at all when its run is known by the
commit that its ref had a moment ago: archiving moves nothing but a mark. The table knows for every run which segments
tell of it: a run may stand in the lists of several writers, and stays when one of them goes.
"""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from gittrack import errors
from gittrack.core import archive, layout
from gittrack.core.archive import Line
from gittrack.git.repository import Repository
from gittrack.runs import archives, documents, segments
from gittrack.runs.row import Row

ROUND = 8 * 1024 * 1024  # bytes of lists after which what was read is written: a million runs must fit into memory
_AT_ONCE = 500
_KEY = "SELECT key FROM list_segments WHERE ref = ? AND number = ?"

_Place = tuple[str, int, str]  # ref, number, tip: of a run in a list


class Segment(NamedTuple):
    """One segment of a list."""

    ref: str
    number: int
    oid: str


_Told = Mapping[Segment, Mapping[str, Line]]  # what segments say of runs


class Change(NamedTuple):
    """How the lists differ from the table."""

    added: Sequence[tuple[Segment, Mapping[str, str]]]  # run id -> tip of what stands in the segment
    dropped: Sequence[int]  # keys of segments that are there no more
    tips: Mapping[str, str]  # of lists that are read to their end now; "" for one that is gone
    problems: Mapping[str, str]  # what is wrong with those that cannot be read
    rows: Sequence[Row]  # of runs that the table does not have as the lists do
    marked: Sequence[str]  # runs that it has, and that have no ref any more
    gone: Sequence[str]  # runs that stand nowhere any more
    more: bool  # there is more to read

    def __bool__(self) -> bool:
        return bool(self.added or self.dropped or self.tips or self.rows or self.marked or self.gone)


class _Pending(NamedTuple):
    """What the moved lists ask for."""

    added: list[Segment]  # `grown` come first
    grown: set[Segment]  # in the place of one that is dropped: no run is missing in between
    dropped: dict[int, Segment]
    tips: dict[str, str]
    problems: dict[str, str]


def compare(db: sqlite3.Connection, repo: Repository, loose: Collection[str], gone: Collection[str]) -> Change:
    """`loose`: the runs that have refs, which win; `gone`: those of the table whose refs have gone."""
    pending = _pending(db, repo)
    told: dict[Segment, dict[str, Line]] = {}
    size, left = 0, [*pending.added]
    for segment, data in _read(repo, pending):
        left.remove(segment)
        if data is not None:
            told[segment] = {line.id: line for line in archive.lines(data)}
            size += len(data)
        if size >= ROUND and not any(segment in pending.grown for segment in left):
            break
    touched = {*gone, *_ids_of(db, pending.dropped), *(run_id for found in told.values() for run_id in found)}
    chosen = _chosen(db, [run_id for run_id in touched if run_id not in loose], pending.dropped, told)
    rows, marked, nowhere = _settled(db, repo, chosen, told)
    added = [(segment, {run_id: line.tip for run_id, line in found.items()}) for segment, found in told.items()]
    unread = {segment.ref for segment in left}
    tips = {ref: tip for ref, tip in pending.tips.items() if ref not in unread}
    return Change(added, [*pending.dropped], tips, pending.problems, rows, marked, nowhere, bool(left))


def write(db: sqlite3.Connection, change: Change) -> None:
    """All of it but the rows and the runs that are gone, inside the caller's transaction."""
    for key in change.dropped:
        db.execute("DELETE FROM listed WHERE segment = ?", (key,))
        db.execute("DELETE FROM list_segments WHERE key = ?", (key,))
    for segment, found in change.added:
        for (old,) in db.execute(_KEY, segment[:2]).fetchall():  # another process was at it, too
            db.execute("DELETE FROM listed WHERE segment = ?", (old,))
        db.execute("INSERT OR REPLACE INTO list_segments (ref, number, oid) VALUES (?, ?, ?)", segment)
        (new,) = db.execute(_KEY, segment[:2]).fetchone()
        rows = [(run_id, new, found[run_id]) for run_id in sorted(found)]  # in the order in which the table keeps them
        db.executemany("INSERT OR REPLACE INTO listed VALUES (?, ?, ?)", rows)
    db.executemany("UPDATE runs SET archived = 1 WHERE id = ?", [(run_id,) for run_id in change.marked])
    for ref, tip in change.tips.items():
        db.execute("DELETE FROM lists WHERE ref = ?", (ref,))
        if tip:
            db.execute("INSERT INTO lists VALUES (?, ?, ?)", (ref, tip, change.problems.get(ref)))


def _pending(db: sqlite3.Connection, repo: Repository) -> _Pending:
    known = dict(db.execute("SELECT ref, tip FROM lists").fetchall())
    tips = archives.lists(repo)
    found = _Pending([], set(), {}, {ref: tip for ref, tip in tips.items() if known.get(ref) != tip}, {})
    for ref, tip in found.tips.items():
        try:
            now = _segments_of(repo, ref, tip)
        except (errors.DamagedRecord, errors.NewerFormat) as error:  # what is known of it stays; others are not hidden
            found.problems[ref] = error.message
            continue
        there = _segments(db, ref)
        old = {one.number for one in there.values()}
        found.dropped.update((key, one) for key, one in there.items() if one not in now)
        new = now - {*there.values()}
        found.grown.update(one for one in new if one.number in old)
        found.added.extend(sorted(new))
    found.added.sort(key=lambda one: one not in found.grown)
    begun = {ref for (ref,) in db.execute("SELECT DISTINCT ref FROM list_segments")}
    for ref in sorted({*known, *begun} - set(tips)):
        found.tips[ref] = ""
        found.dropped.update(_segments(db, ref))
    return found


def _segments_of(repo: Repository, ref: str, tip: str) -> set[Segment]:
    """Those of a list now. Raises DamagedRecord, NewerFormat."""
    layout.check_format(repo.read_path(tip, "format"), ref, layout.ARCHIVE_FORMAT)
    return {Segment(ref, number, oid) for number, oid in segments.oids(repo, tip, archives.INDEX).items()}


def _segments(db: sqlite3.Connection, ref: str) -> dict[int, Segment]:
    found = db.execute("SELECT key, ref, number, oid FROM list_segments WHERE ref = ?", (ref,))
    return {key: Segment(*fields) for key, *fields in found}


def _read(repo: Repository, pending: _Pending) -> Iterator[tuple[Segment, bytes | None]]:
    """The new segments, as far as the caller takes them; None, and a problem of the list, for one that is damaged."""
    found = repo.read_many([segment.oid for segment in pending.added])
    for segment, data in zip(pending.added, found, strict=True):
        if data is None:
            pending.problems[segment.ref] = f"the archive {segment.ref} lacks {segment.oid}"
        yield segment, data


def _ids_of(db: sqlite3.Connection, segments: Iterable[int]) -> list[str]:
    return [run_id for key in segments for (run_id,) in db.execute("SELECT id FROM listed WHERE segment = ?", (key,))]


def _chosen(
    db: sqlite3.Connection,
    ids: Sequence[str],
    dropped: Mapping[int, Segment],
    told: _Told,
) -> dict[str, _Place | None]:
    """For each run the place in the lists that counts, the first by name; None where there is none."""
    found: dict[str, _Place | None] = dict.fromkeys(ids)

    def offer(run_id: str, place: _Place) -> None:
        best = found[run_id]
        if best is None or place < best:
            found[run_id] = place

    query = "SELECT id, segment, ref, number, tip FROM listed JOIN list_segments ON key = segment WHERE id IN"
    for run_id, key, *place in _by_id(db, query, ids):
        if key not in dropped:
            offer(run_id, (place[0], place[1], place[2]))
    for segment, lines in told.items():
        for run_id, line in lines.items():
            if run_id in found:
                offer(run_id, (segment.ref, segment.number, line.tip))
    return found


def _settled(
    db: sqlite3.Connection,
    repo: Repository,
    chosen: Mapping[str, _Place | None],
    told: _Told,
) -> tuple[list[Row], list[str], list[str]]:
    """Rows to write, rows to mark as archived, and runs that are gone."""
    known = {run_id: (tip, archived) for run_id, tip, archived in
             _by_id(db, "SELECT id, tip, archived FROM runs WHERE id IN", [*chosen])}  # fmt: skip
    at_hand = {(segment.ref, segment.number): lines for segment, lines in told.items()}
    rows, marked, gone = [], [], list[str]()
    for run_id, place in chosen.items():
        tip, archived = known.get(run_id, (None, 0))
        if place is None:
            gone += [run_id] if run_id in known else []
        elif place[2] == tip:
            marked += [] if archived else [run_id]
        else:
            ref, number, _ = place
            if (ref, number) not in at_hand:  # its ref said something else until now
                at_hand[ref, number] = _again(db, repo, place)
            line = at_hand[ref, number].get(run_id)
            rows.append(documents.listed(line) if line else Row(run_id, place[2], archived=True))
    return rows, marked, gone


def _again(db: sqlite3.Connection, repo: Repository, place: _Place) -> dict[str, Line]:
    (oid,) = db.execute("SELECT oid FROM list_segments WHERE ref = ? AND number = ?", place[:2]).fetchone()
    data = next(iter(repo.read_many([oid])))
    return {line.id: line for line in archive.lines(data or b"")}


def _by_id(db: sqlite3.Connection, query: str, ids: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    for at in range(0, len(ids), _AT_ONCE):
        some = ids[at : at + _AT_ONCE]
        yield from db.execute(f"{query} ({','.join('?' * len(some))})", some).fetchall()
