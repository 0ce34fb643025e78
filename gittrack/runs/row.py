"""A run as tables see it: one flat value, and how the index stores it.

`ls` starts, reads thirty of these and ends, so this module imports next to nothing, and what no table needs of a run
(its series, its environment) is not here.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gittrack.lazy import lazy

DAMAGED, NEWER = "damaged", "newer"  # in place of a state: the record cannot be read, or not by this version
LOST = "lost?"  # silent, and it cannot be decided here whether it is dead
QUEUED = "queued"  # sent to a host, and not begun there yet


class Row(NamedTuple):
    """Times are seconds since the epoch. Annotations are applied: `name` is what the run is called now."""

    id: str
    tip: str | None = None  # commit of the record; None for a live run of which nothing is committed yet
    created: float | None = None
    started: float | None = None
    ended: float | None = None
    duration: float | None = None
    status: str = DAMAGED
    name: str | None = None
    experiment: str | None = None
    baseline: bool = False
    deleted: bool = False
    archived: bool = False
    live: bool = False  # a journal of this clone says more than the record
    command: str = ""
    user: str = ""
    host: str = ""
    base: str | None = None
    snapshot: str | None = None
    exit_code: int | None = None
    signal: str | None = None
    reason: str | None = None  # how it ended; of a damaged record, what is wrong with it
    heartbeat: float | None = None
    points: int = 0
    checkpoints: int = 0
    latest_checkpoint: Mapping[str, Any] | None = None  # {"metrics", "step"}
    best_checkpoint: Mapping[str, Any] | None = None  # {"metric", "step", "value"}
    primary: tuple[str, str] | None = None  # metric, goal
    goals: Mapping[str, str] = {}
    parent: str | None = None
    continues: Mapping[str, Any] | None = None  # {"run", "step"}
    origin: Mapping[str, Any] | None = None  # {"run", "step", "how"}
    given: Sequence[Any] = (None, (), None)  # name, tags and note as the record has them
    tags: Sequence[str] = ()
    notes: Sequence[str] = ()
    params: Mapping[str, Any] = {}  # name -> value
    metrics: Mapping[str, Mapping[str, Any]] = {}  # name -> {"last", "min", "max", "best", …, "last_step", …}


# Columns of the index: what is selected or sorted by stands alone, what is only read with its run is JSON. Metrics
# stand in two columns: those that a plain listing shows, and the others, dozens of system/ series among them.
PLAIN = Row._fields[: Row._fields.index("command")]
FACTS = Row._fields[Row._fields.index("command") : Row._fields.index("tags")]
OWN = ("tags", "notes", "params")
COLUMNS = (*PLAIN[:-1], "facts", *OWN, "shown", "others")  # `live` is never stored
SHORT_COLUMNS = COLUMNS[:-1]  # enough for rows whose `metrics` are those that a plain listing shows


def encode(row: Row) -> list[Any]:
    """`row` as the values of COLUMNS."""
    stored: list[Any] = [storable(value) if type(value) is str else value for value in row[: len(PLAIN) - 1]]
    stored.append(text(row[len(PLAIN) : len(PLAIN) + len(FACTS)]))
    stored += [text(getattr(row, name)) for name in OWN]
    shown = {name: value for name, value in row.metrics.items() if _is_shown(name, row)}
    others = {name: value for name, value in row.metrics.items() if name not in shown}
    return [*stored, text(shown), text(others)]


def _is_shown(name: str, row: Row) -> bool:
    return name == row.primary[0] if row.primary else not name.startswith("system/")


def decode(stored: Sequence[Sequence[Any]]) -> list[Row]:
    """The rows whose COLUMNS or SHORT_COLUMNS are given. All JSON is parsed at once: half the time in a long table."""
    at = len(PLAIN) - 1
    parts = values(",".join([f"[{','.join(columns[at:])}]" for columns in stored]))
    rows = []
    for columns, (facts, tags, notes, params, shown, *others) in zip(stored, parts, strict=True):
        if facts[_PRIMARY]:
            facts[_PRIMARY] = tuple(facts[_PRIMARY])
        if others:
            shown.update(others[0])
        flags = map(bool, columns[_FLAGS:at])
        rows.append(Row._make([*columns[:_FLAGS], *flags, False, *facts, tags, notes, params, shown]))
    return rows


_FLAGS = PLAIN.index("baseline")  # from here on truth values, which sqlite keeps as numbers; the last is `live`
_PRIMARY = FACTS.index("primary")
_EMPTY: Mapping[type, str] = {list: "[]", tuple: "[]", dict: "{}"}
_dump = json.JSONEncoder(ensure_ascii=True, allow_nan=True, separators=(",", ":")).encode


def text(value: Any) -> str:
    """JSON for the index alone: with NaN and Infinity as Python writes and reads them, which spares a pass."""
    if not value and type(value) in _EMPTY:  # tags, notes, metrics that are not shown: most runs have none
        return _EMPTY[type(value)]
    try:
        found = _dump(value)
    except TypeError:  # bytes
        return _canonical(value)
    return _canonical(value) if '"$"' in found else found


def storable(value: str) -> str:
    """`value` without lone surrogates, which JSON can hold and sqlite cannot."""
    return value if value.isascii() else value.encode(errors="replace").decode()


def values(joined: str) -> list[Any]:
    """The values of texts joined by commas."""
    joined = f"[{joined}]"
    found: list[Any] = lazy("gittrack.core.codec").loads(joined) if '"$"' in joined else json.loads(joined)
    return found


def _canonical(value: Any) -> str:
    found: bytes = lazy("gittrack.core.codec").dumps(value)
    return found.decode().rstrip("\n")
