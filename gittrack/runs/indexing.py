"""Bringing the index up to date: which refs moved, their records read in bulk, the annotations folded in. What is in
archives comes by `indexing_lists`, some megabytes at a time.

The slow half of `index`, loaded only when something changed. Git is read before the table is locked, so that other
processes list runs meanwhile; that nobody else changed the table in between is checked when the rows are written.
"""

import contextlib
import gc
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from gittrack import errors
from gittrack.core import annotations, layout
from gittrack.core.annotations import Op
from gittrack.git.repository import Repository
from gittrack.runs import archives, documents, indexing_lists, logs
from gittrack.runs import row as rows_
from gittrack.runs.row import Row

_OPS = "SELECT clock, writer, place, id, run, op, value, at, who FROM ops"
_ROWS = f"SELECT {', '.join(rows_.COLUMNS)} FROM runs"
_AT_ONCE = 500
_TRIES = 3
_NEAR = 500  # records, which are read in a tenth of a second


class _News(NamedTuple):
    """How the repository differs from the table."""

    rows: list[Row]
    gone: list[str]
    logs: list[logs.Change]
    log_tips: Mapping[str, str]
    log_problems: Mapping[str, str]
    lists: indexing_lists.Change

    def __bool__(self) -> bool:
        return bool(self.rows or self.gone or self.log_tips or self.lists)


def update(db: sqlite3.Connection, repo: Repository, seen: str | None) -> None:
    """Make the table say what the refs say. `seen` is the stamp of the refs, taken before, if it can be relied on."""
    with _without_collector():
        while _round(db, repo, seen):
            pass


def is_near(db: sqlite3.Connection, repo: Repository) -> bool:
    """Whether archives are as the table has them, and few other runs are not."""
    known = dict(db.execute("SELECT id, tip FROM runs WHERE archived = 0").fetchall())
    lists = dict(db.execute("SELECT ref, tip FROM lists").fetchall())
    return lists == archives.lists(repo) and sum(known.get(one) != tip for one, tip in _tips(repo).items()) <= _NEAR


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """Millions of dictionaries are made here, none of them in a circle: looking for those takes a fifth of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _round(db: sqlite3.Connection, repo: Repository, seen: str | None) -> bool:
    """As much as is read at once; whether there is more."""
    for last in [False] * (_TRIES - 1) + [True]:
        generation = _generation(db)
        news = _compare(db, repo)
        if not news:
            _confirm(db, seen, generation)
            return False
        db.execute("PRAGMA cache_spill = OFF")  # spilling locks readers out before the commit
        db.execute("BEGIN IMMEDIATE")
        try:
            if _generation(db) == generation or last:  # the next refresh mends what two at once may leave behind
                _write(db, news, generation)
                _put_meta(db, "stamp", None if news.lists.more else seen)
                db.execute("COMMIT")
                return news.lists.more
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("ROLLBACK")
    raise AssertionError("not reached")


def _confirm(db: sqlite3.Connection, seen: str | None, generation: int) -> None:
    """Note that the table of that generation says what the refs say; where it cannot be noted, it is found again."""
    if seen is not None and _generation(db) == generation:
        with contextlib.suppress(sqlite3.OperationalError):  # read-only or locked
            db.execute(
                "INSERT OR REPLACE INTO meta SELECT 'stamp', ? WHERE ? = "
                "coalesce((SELECT value FROM meta WHERE key = 'generation'), 0)",
                (seen, generation),
            )


def operations(db: sqlite3.Connection, ids: Sequence[str]) -> list[Op]:
    """All operations on these runs."""
    found: list[Op] = []
    for some in _chunks(ids):
        found += _decoded(db.execute(f"{_OPS} WHERE run IN ({_marks(some)})", some))
    return found


def annotated(db: sqlite3.Connection, rows: Iterable[Row]) -> list[Row]:
    """`rows` with everything that was said about them, but for baselines, which depend on other runs."""
    rows = list(rows)
    said: dict[str, list[Op]] = {}
    for op in operations(db, [row.id for row in rows]):
        said.setdefault(op.run, []).append(op)
    return [_apply(row, said[row.id]) if row.id in said else row for row in rows]


def _apply(row: Row, ops: list[Op]) -> Row:
    state = annotations.fold(annotations.Given(*row.given), ops)
    return row._replace(name=state.name, tags=list(state.tags), notes=list(state.notes), deleted=state.deleted)


def _compare(db: sqlite3.Connection, repo: Repository) -> _News:
    known = dict(db.execute("SELECT id, tip FROM runs WHERE archived = 0").fetchall())
    tips, rows = _changed(repo, known)
    lists = indexing_lists.compare(db, repo, tips, [run_id for run_id in known if run_id not in tips])
    return _News([*rows, *lists.rows], [*lists.gone], *_compare_logs(db, repo), lists)


def _changed(repo: Repository, known: Mapping[str, str]) -> tuple[dict[str, str], list[Row]]:
    """The tips of all runs that have refs, and the rows of those that are not at what is known."""
    for last in [False] * (_TRIES - 1) + [True]:
        tips = _tips(repo)
        changed = [run_id for run_id, tip in tips.items() if known.get(run_id) != tip]
        files = repo.read_files([tips[run_id] for run_id in changed], documents.FILES)
        rows, is_whole = [], True
        for run_id, found in zip(changed, files, strict=True):
            rows.append(documents.indexed(run_id, tips[run_id], found))
            is_whole = is_whole and found[0] is not None
        if last or is_whole:
            break  # else one may be archived, and its commit gone, since its ref was read
    return tips, rows


def _tips(repo: Repository) -> dict[str, str]:
    return {run_id: tip for ref, tip in repo.refs(layout.RUNS).items() if (run_id := layout.id_of_ref(ref))}


def _compare_logs(db: sqlite3.Connection, repo: Repository) -> tuple[list[logs.Change], dict[str, str], dict[str, str]]:
    """Changed logs; their tips ("" for a log that is gone); and what is wrong with those that cannot be read."""
    known = dict(db.execute("SELECT writer, tip FROM logs").fetchall())
    tips = logs.tips(repo)
    moved = {writer: tip for writer, tip in tips.items() if known.get(writer) != tip}
    changes, problems = [], {}
    for writer, tip in moved.items():
        try:
            changes.append(logs.change(repo, writer, tip, _segments(db, writer)))
        except (errors.DamagedRecord, errors.NewerFormat) as error:  # one log must not hide all runs
            problems[writer] = error.message
    gone = {writer: "" for writer in known if writer not in tips}
    changes += [logs.Change(writer, 0, {}, []) for writer in gone]
    return changes, moved | gone, problems


def _write(db: sqlite3.Connection, news: _News, generation: int) -> None:
    touched = _write_logs(db, news)
    for some in _chunks(news.gone):
        db.execute(f"DELETE FROM runs WHERE id IN ({_marks(some)})", some)
    indexing_lists.write(db, news.lists)
    fresh = {row.id for row in news.rows}
    _put(db, annotated(db, news.rows))
    again = [run_id for run_id in touched if run_id not in fresh]
    for some in _chunks(again):
        rows = rows_.decode(db.execute(f"{_ROWS} WHERE id IN ({_marks(some)})", some).fetchall())
        _put(db, [_apply(row, ops) for row, ops in _with_ops(db, rows)])
    if not news.lists.more:
        _mark_baselines(db)
    _put_meta(db, "generation", generation + 1)


def _with_ops(db: sqlite3.Connection, rows: list[Row]) -> list[tuple[Row, list[Op]]]:
    said: dict[str, list[Op]] = {row.id: [] for row in rows}
    for op in operations(db, list(said)):
        said[op.run].append(op)
    return [(row, said[row.id]) for row in rows]


def _write_logs(db: sqlite3.Connection, news: _News) -> set[str]:
    """The runs whose annotations may have changed."""
    touched: set[str] = set()
    for change in news.logs:
        place = (change.writer, change.start)
        touched.update(run for (run,) in db.execute("SELECT run FROM ops WHERE writer = ? AND place >= ?", place))
        db.execute("DELETE FROM ops WHERE writer = ? AND place >= ?", place)
        db.execute("DELETE FROM segments WHERE writer = ?", (change.writer,))
        segments = [(change.writer, number, *segment) for number, segment in change.segments.items()]
        db.executemany("INSERT INTO segments VALUES (?, ?, ?, ?, ?)", segments)
        ops = [(*op[:6], rows_.text(op.value), op.when, rows_.storable(op.who)) for op in change.ops]
        db.executemany("INSERT INTO ops VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", ops)
        touched.update(op.run for op in change.ops)
    for writer, tip in news.log_tips.items():
        db.execute("DELETE FROM logs WHERE writer = ?", (writer,))
        if tip:
            db.execute("INSERT INTO logs VALUES (?, ?, ?)", (writer, tip, news.log_problems.get(writer)))
    return touched


def _put(db: sqlite3.Connection, rows: list[Row]) -> None:
    marks = _marks(rows_.COLUMNS)
    db.executemany(f"INSERT OR REPLACE INTO runs VALUES ({marks})", [rows_.encode(row) for row in rows])


def _mark_baselines(db: sqlite3.Connection) -> None:
    """One mark per experiment depends on all its runs, so it is folded over all operations that can move one."""
    ops = _decoded(db.execute(f"{_OPS} WHERE op IN ('baseline', 'undo')"))
    runs = list({op.run for op in ops if op.op == "baseline"})
    experiments: dict[str, str | None] = {}
    for some in _chunks(runs):
        experiments.update(db.execute(f"SELECT id, experiment FROM runs WHERE id IN ({_marks(some)})", some).fetchall())
    marked = annotations.baselines(ops, experiments)
    before = {run_id for (run_id,) in db.execute("SELECT id FROM runs WHERE baseline = 1")}
    for flag, ids in ((0, before - marked), (1, marked - before)):
        db.executemany("UPDATE runs SET baseline = ? WHERE id = ?", [(flag, run_id) for run_id in ids])


def _segments(db: sqlite3.Connection, writer: str) -> dict[int, logs.Segment]:
    found = db.execute("SELECT number, oid, first, lines FROM segments WHERE writer = ?", (writer,))
    return {number: logs.Segment(*fields) for number, *fields in found}


def _decoded(found: Iterable[Sequence[Any]]) -> list[Op]:
    return [Op._make([*fields[:6], rows_.values(fields[6])[0], *fields[7:]]) for fields in found]


def _generation(db: sqlite3.Connection) -> int:
    found = db.execute("SELECT value FROM meta WHERE key = 'generation'").fetchone()
    return int(found[0]) if found else 0


def _put_meta(db: sqlite3.Connection, key: str, value: Any) -> None:
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def _chunks(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[at : at + _AT_ONCE] for at in range(0, len(ids), _AT_ONCE)]


def _marks(values: Sequence[Any]) -> str:
    return ",".join("?" * len(values))
