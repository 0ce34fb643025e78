"""Which segments of the lists of archives have a run, as the index knows it: a list of 20,000 runs is 40 MB, and is not
read for one line.

The index may be absent, old, or just being written. It is believed of those segments alone whose very blob it has read;
the others have to be looked through.
"""

import contextlib
import os
import pathlib
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from gittrack.git.discover import Paths
from gittrack.runs import index

_AT_ONCE = 500  # values in one statement
_CODE = "SELECT DISTINCT segment FROM runs JOIN listed USING (id) WHERE instr(facts, ?)"


class Segment(NamedTuple):
    """One segment of a list."""

    ref: str
    number: int
    oid: str


def with_runs(paths: Paths, there: Iterable[Segment], ids: Collection[str]) -> dict[Segment, frozenset[str] | None]:
    """Of the segments that are there those that have one of these runs, and which; None where it is not known."""
    wanted = list(ids)
    with contextlib.suppress(sqlite3.Error), _opened(paths) as db:
        known = _known(db)
        has: dict[Segment, set[str]] = {}
        for at in range(0, len(wanted), _AT_ONCE):
            some = wanted[at : at + _AT_ONCE]
            query = f"SELECT segment, id FROM listed WHERE id IN ({','.join('?' * len(some))})"
            for key, run_id in db.execute(query, some):
                has.setdefault(known[key], set()).add(run_id)
        read = frozenset(known.values())
        return {one: frozenset(has[one]) if one in read else None for one in there if one not in read or one in has}
    return dict.fromkeys(there)


def with_code(paths: Paths, there: Iterable[Segment], oid: str) -> dict[Segment, bool]:
    """Of the segments that are there those that may have a run of this snapshot, and whether it is known."""
    with contextlib.suppress(sqlite3.Error), _opened(paths) as db:
        known = _known(db)
        has = {known[key] for (key,) in db.execute(_CODE, (oid,))}
        read = frozenset(known.values())
        return {one: one in read for one in there if one not in read or one in has}
    return dict.fromkeys(there, False)


def _known(db: sqlite3.Connection) -> Mapping[int, Segment]:
    return {key: Segment(*fields) for key, *fields in db.execute("SELECT key, ref, number, oid FROM list_segments")}


@contextlib.contextmanager
def _opened(paths: Paths) -> Iterator[sqlite3.Connection]:
    """The table as it is at one moment. Raises sqlite3.Error where it cannot be read."""
    place = pathlib.Path(os.path.join(paths.common_dir, "track", "index.sqlite"))
    with contextlib.closing(sqlite3.connect(f"{place.as_uri()}?mode=ro", timeout=index.PATIENCE, uri=True)) as db:
        db.execute("BEGIN")
        if db.execute("PRAGMA user_version").fetchone()[0] != index.VERSION:
            raise sqlite3.DatabaseError("made by another version")
        yield db
