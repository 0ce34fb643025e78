"""The table of runs, kept in sqlite so that listing costs neither git nor JSON of runs that are not shown.

A cache and nothing more: `refs/track` is the truth, and every row knows the commit it was made from. Losing the file,
finding garbage in it, or not being allowed to write it costs time and never an answer; where it cannot be used, a table
in memory takes its place. What is slow and rare (comparing refs, reading records) lives in `indexing`, so that a
listing of unchanged runs starts without it.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from gittrack.git import stamp
from gittrack.git.discover import Paths
from gittrack.lazy import lazy
from gittrack.runs import row as rows_
from gittrack.runs.row import Row

if TYPE_CHECKING:
    from gittrack.core.annotations import Op
    from gittrack.git.repository import Repository

VERSION = 7  # of the tables below and of how records are read into them: another one means that the file is made anew
PATIENCE = 1.0  # seconds to wait for another process's write before a table in memory is used
SORTABLE = ("created", "started", "ended", "duration", "status", "name", "experiment", "id")

T = TypeVar("T")
Brief = tuple[str, str | None, float | None, bool]  # id, name, created, deleted
_NEWEST = "SELECT id FROM (SELECT id FROM runs WHERE deleted = {} ORDER BY created DESC, id DESC LIMIT ?)"

_TABLES = f"""
CREATE TABLE runs ({", ".join(name + (" PRIMARY KEY" if name == "id" else "") for name in rows_.COLUMNS)});
CREATE INDEX brief ON runs (deleted, created, id, name);
CREATE INDEX state ON runs (status, deleted, created, id);
CREATE INDEX loose ON runs (id, tip) WHERE archived = 0;
CREATE INDEX called ON runs (name) WHERE name IS NOT NULL;
CREATE INDEX marked ON runs (id) WHERE baseline = 1;
CREATE TABLE lists (ref PRIMARY KEY, tip, problem) WITHOUT ROWID;
CREATE TABLE list_segments (key INTEGER PRIMARY KEY, ref, number, oid, UNIQUE (ref, number));
CREATE TABLE listed (id, segment, tip, PRIMARY KEY (id, segment)) WITHOUT ROWID;
CREATE INDEX listed_in ON listed (segment);
CREATE TABLE meta (key PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE logs (writer PRIMARY KEY, tip, problem) WITHOUT ROWID;
CREATE TABLE segments (writer, number, oid, first, lines, PRIMARY KEY (writer, number)) WITHOUT ROWID;
CREATE TABLE ops (clock, writer, place, id, run, op, value, at, who, PRIMARY KEY (writer, place)) WITHOUT ROWID;
CREATE INDEX ops_of ON ops (run);
PRAGMA user_version = {VERSION};
"""
_SELECT = f"SELECT {', '.join(rows_.COLUMNS)} FROM runs"
_SELECT_SHORT = f"SELECT {', '.join(rows_.SHORT_COLUMNS)} FROM runs"
_UNUSABLE = ("locked", "readonly", "unable to open", "is full", "disk I/O error", "locking protocol")
_MOST = 2**63 - 1  # of rows, for sqlite
_AT_ONCE = 500  # values in one statement; sqlite may have been built with a limit of 999


class Index:
    """Use `open_index`. Belongs to one thread."""

    def __init__(self, paths: Paths, in_memory: bool = False) -> None:
        self.paths = paths
        self.path = os.path.join(paths.common_dir, "track", "index.sqlite")
        self.problem: str | None = None  # why the file was not used, or not as it was
        self._opener: Callable[[], Repository] | None = None
        self._overlay: dict[str, Row] | None = None
        self._names = self._live_names()
        self._db = self._in_memory() if in_memory else self._open()

    def refresh(self, opener: "Callable[[], Repository]") -> None:
        """Bring the table up to date with the refs. `opener` gives the repository; not called when nothing changed."""
        self._overlay = None
        self._names = self._live_names()  # before the refs: a run that ends meanwhile is then missed nowhere
        self._opener = opener
        known = self._guarded(_stamp_of)
        if not known or not stamp.is_unchanged(self.paths, known):
            seen = stamp.take(self.paths, time.time())
            self._guarded(lambda db: self._update(db, seen.text if seen.settled else None))

    def is_near(self, opener: "Callable[[], Repository]") -> bool:
        """Whether `refresh` has little to read."""
        known = self._guarded(_stamp_of)
        if known and stamp.is_unchanged(self.paths, known):
            return True
        near: bool = self._guarded(lambda db: lazy("gittrack.runs.indexing").is_near(db, opener()))
        return near

    def rows(
        self,
        where: Callable[[Row], Any] | None = None,
        sort: str = "created-desc",
        limit: int | None = None,
        *,
        status: str | None = None,
        deleted: bool = False,
        all_metrics: bool = True,
    ) -> list[Row]:
        """The runs, live ones as of now. `sort`: one of SORTABLE, with `-desc` for descending.

        `deleted` says whether such runs are among them. Without `where`, no more than `limit` and the
        live ones are read. Without `all_metrics` the rows have those of their metrics that a plain listing shows: the
        primary ones (of all these runs), or, where none is declared, all but system/.
        """
        live = self._live()
        key, _, direction = sort.partition("-")
        if key not in SORTABLE or direction not in ("", "desc"):
            raise ValueError(f"cannot sort by {sort!r}")
        clauses, values = _clauses(status, deleted, live)
        rest = clauses + _order(key, bool(direction))
        if limit is not None and where is None:
            rest += f" LIMIT {min(int(limit), _MOST)}"
        found = self._read((_SELECT if all_metrics else _SELECT_SHORT) + rest, values)
        if not all_metrics and len({row.primary[0] for row in found if row.primary}) > 1:
            found = self._read(_SELECT + rest, values)  # one run's primary metric may be another's second
        fresh = [row for row in live.values() if _wanted(row, status, deleted)]
        if fresh:
            found = _sorted(found + fresh, key, bool(direction))
        if where is not None:
            found = [row for row in found if where(row)]
        return found if limit is None else found[:limit]

    def by_id(self, ids: Sequence[str]) -> list[Row]:
        """These runs in this order, whatever their state; without those that are not there."""
        found = {**{row.id: row for row in self._stored(ids)}, **self._live()}
        return [found[run_id] for run_id in ids if run_id in found]

    def row(self, run_id: str) -> Row | None:
        """One run, whatever its state."""
        return next(iter(self.by_id([run_id])), None)

    def of_snapshots(self, oids: Sequence[str]) -> list[Row]:
        """The runs whose code is one of these snapshots, newest first; deleted ones are not among them."""
        if not oids:
            return []
        either = " OR ".join(["instr(facts, ?)"] * len(oids))
        found = {row.id: row for row in self._read(f"{_SELECT} WHERE deleted = 0 AND ({either})", list(oids))}
        found.update((row.id, row) for row in self._live().values() if not row.deleted)
        return _sorted([row for row in found.values() if row.snapshot in oids], "created", True)

    def count(self, *, deleted: bool = False) -> int:
        """How many runs `rows` would give without a limit."""
        live = self._live()
        clauses, values = _clauses(None, deleted, live)
        query = f"SELECT count(*) FROM runs{clauses}"
        stored: int = self._guarded(lambda db: db.execute(query, values).fetchone()[0])
        return stored + sum(_wanted(row, None, deleted) for row in live.values())

    def marked(self) -> list[Row]:
        """The runs that are baselines, the newest first."""
        ids = [run_id for (run_id,) in self._all("SELECT id FROM runs WHERE baseline = 1", ())]
        return _sorted([row for row in self.by_id(ids) if not row.deleted], "created", True)

    def brief(self) -> list[Brief]:
        """(id, name, created, deleted) of every run, newest first."""
        return self._brief("", (), lambda _: True)

    def beginning(self, prefix: str) -> list[Brief]:
        """The same, of the runs whose ids begin so."""
        where = "WHERE id >= ? AND id < ?"
        return self._brief(where, (prefix, f"{prefix}g"), lambda row: row.id.startswith(prefix))

    def named(self, name: str) -> list[Brief]:
        """The same, of the runs that are called so."""
        return self._brief("WHERE name = ?", (name,), lambda row: row.name == name)

    def newest(self, count: int, deleted: bool = False) -> list[Brief]:
        """The same, of the `count` newest; `deleted`: such runs among them."""
        kinds = (0, 1) if deleted else (0,)  # each is read off its end of the index
        where = f"WHERE id IN ({' UNION ALL '.join(map(_NEWEST.format, kinds))})"
        return self._brief(where, [count] * len(kinds), lambda row: deleted or not row.deleted)[:count]

    def names(self, count: int) -> list[str]:
        """What the newest runs that have names are called."""
        query = "SELECT name FROM runs WHERE name IS NOT NULL AND deleted = 0 ORDER BY created DESC LIMIT ?"
        stored = [name for (name,) in self._all(query, (count,))]
        return [*dict.fromkeys([*(row.name for row in self._live().values() if row.name), *stored])]

    def _brief(self, where: str, values: Sequence[Any], wanted: Callable[[Row], bool]) -> list[Brief]:
        live = self._live()
        stored = self._all(f"SELECT id, name, created, deleted FROM runs {where}", values)
        found = {run_id: (run_id, name, created, bool(deleted)) for run_id, name, created, deleted in stored}
        known = {row.id for row in self._stored([*live])}
        for row in live.values():
            if row.id not in known and wanted(row):
                found[row.id] = (row.id, row.name, row.created, row.deleted)
        return sorted(found.values(), key=lambda one: (one[2] or 0.0, one[0]), reverse=True)

    def _all(self, query: str, values: Sequence[Any]) -> list[Any]:
        return self._guarded(lambda db: db.execute(query, values).fetchall())

    def operations(self, run_id: str) -> "list[Op]":
        """What was said about a run, in no order; undone operations included."""
        found: list[Op] = self._guarded(lambda db: lazy("gittrack.runs.indexing").operations(db, [run_id]))
        return found

    def check(self) -> str | None:
        """What sqlite finds wrong in the file."""
        found: str = self._guarded(lambda db: db.execute("PRAGMA integrity_check(1)").fetchone()[0])
        return None if found == "ok" else found

    def make_anew(self, problem: str) -> None:
        """Throw away what is in the file, because of `problem`, and read the refs again."""
        self._replace(problem, False)
        self._update(self._db, None)

    def close(self) -> None:
        """May be called twice."""
        self._db.close()

    def _live(self) -> Mapping[str, Row]:
        """The runs whose journals lie here, as of now; without any, the modules that read journals are not loaded."""
        if self._overlay is None:
            self._overlay = self._overlaid(self._names) if self._names else {}
        return self._overlay

    def _live_names(self) -> list[str]:
        try:
            return os.listdir(os.path.join(self.paths.common_dir, "track", "live"))
        except OSError:
            return []

    def _overlaid(self, names: Sequence[str]) -> dict[str, Row]:
        stored = {row.id: row for row in self._stored(names)}
        found: dict[str, Row] = lazy("gittrack.runs.overlay").rows(self.paths, names, stored)
        if any(row.status == "running" and run_id not in found for run_id, row in stored.items()):
            self._guarded(lambda db: self._update(db, None))  # it was folded after we had read its ref
        new = [row for row in found.values() if row.id not in stored]
        if new:  # nothing of them is committed yet, but people may have named them already
            annotated = self._guarded(lambda db: lazy("gittrack.runs.indexing").annotated(db, new))
            found.update((row.id, row) for row in annotated)
        return found

    def _stored(self, ids: Sequence[str]) -> list[Row]:
        found: list[Row] = []
        for at in range(0, len(ids), _AT_ONCE):
            some = list(ids[at : at + _AT_ONCE])
            found += self._read(f"{_SELECT} WHERE id IN ({','.join('?' * len(some))})", some)
        return found

    def _read(self, query: str, values: Sequence[Any]) -> list[Row]:
        return self._guarded(lambda db: rows_.decode(db.execute(query, values).fetchall()))

    def _update(self, db: sqlite3.Connection, seen: str | None) -> None:
        if self._opener is not None:
            lazy("gittrack.runs.indexing").update(db, self._opener(), seen)

    def _guarded(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """`work`, done once more on a table made anew when the file turns out to be of no use."""
        try:
            return work(self._db)
        except sqlite3.OperationalError as error:
            self._replace(str(error), any(sign in str(error) for sign in _UNUSABLE))
        except (sqlite3.DatabaseError, ValueError, TypeError, IndexError) as error:  # garbage, in the file or in a row
            self._replace(str(error), False)
        self._update(self._db, None)
        return work(self._db)

    def _replace(self, problem: str, in_memory: bool) -> None:
        self.problem = problem
        old, self._db = self._db, self._in_memory() if in_memory else self._anew()
        if "readonly" in problem:  # what the file holds is sound: only what is new has to be read
            with contextlib.suppress(sqlite3.Error):
                old.backup(self._db)
        old.close()

    def _open(self) -> sqlite3.Connection:
        """The table in the file, empty when it is new."""
        try:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            db = _connect(self.path)
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version == VERSION:
                return db
            if version == 0:
                _make(db)
                return db
            self.problem = f"made by another version ({version})"
            db.close()
        except sqlite3.OperationalError as error:
            self.problem = str(error)
            if any(sign in self.problem for sign in _UNUSABLE):
                return self._in_memory()
        except (sqlite3.DatabaseError, OSError) as error:
            self.problem = str(error)
        return self._anew()

    def _anew(self) -> sqlite3.Connection:
        """A new file in the place of a damaged one."""
        try:
            for suffix in ("-journal", "-wal", "-shm", ""):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.path + suffix)
            db = _connect(self.path)
            _make(db)
        except (sqlite3.DatabaseError, OSError):
            return self._in_memory()
        return db

    def _in_memory(self) -> sqlite3.Connection:
        db = _connect(":memory:")
        _make(db)
        return db


def open_index(paths: Paths) -> Index:
    """The index of this clone, as it was left. Never fails: see the module."""
    return Index(paths)


def open_in_memory(paths: Paths) -> Index:
    """A table made afresh, beside the file."""
    return Index(paths, in_memory=True)


def _connect(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
    db.execute("PRAGMA synchronous = NORMAL")  # of a cache; a file that a power cut left half written is made anew
    return db


def _make(db: sqlite3.Connection) -> None:
    """The tables, unless another process was faster."""
    db.execute("BEGIN IMMEDIATE")
    if db.execute("PRAGMA user_version").fetchone()[0] != VERSION:
        for statement in _TABLES.split(";"):
            db.execute(statement)
    db.execute("COMMIT")


def _stamp_of(db: sqlite3.Connection) -> str | None:
    found = db.execute("SELECT value FROM meta WHERE key = 'stamp'").fetchone()
    return found[0] if found else None


def _clauses(status: str | None, deleted: bool, live: Mapping[str, Row]) -> tuple[str, list[Any]]:
    """The WHERE of the runs that are wanted from the table: live ones come from their journals."""
    found, values = [], list[Any]()
    if not deleted:
        found.append("deleted = 0")
    if status is not None:
        found.append("status = ?")
        values.append(status)
    if live:
        found.append(f"id NOT IN ({','.join('?' * len(live))})")
        values += live
    return (" WHERE " + " AND ".join(found) if found else ""), values


def _wanted(row: Row, status: str | None, deleted: bool) -> bool:
    return (status is None or row.status == status) and (deleted or not row.deleted)


def _order(key: str, descending: bool) -> str:
    """Runs that lack the value come last; ties go by id, in the direction that lets sqlite walk its index."""
    if not descending:
        return f" ORDER BY {key} IS NULL, {key}, id"
    return f" ORDER BY {key} DESC, id DESC"  # NULL is the smallest value there is


def _sorted(rows: list[Row], key: str, descending: bool) -> list[Row]:
    """What `_order` does, once live runs are among the rows."""
    at = Row._fields.index(key)
    there = sorted((row for row in rows if row[at] is not None), key=lambda row: (row[at], row.id), reverse=descending)
    missing = sorted((row for row in rows if row[at] is None), key=lambda row: row.id, reverse=descending)
    return there + missing
