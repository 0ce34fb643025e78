"""The table of `git track ls`: which columns a list of runs deserves, and their texts.

Pure, and without pandas: `ls` has 20 ms for all of this. Columns are made column by column, which is how the layout
wants them and what is fast.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from gittrack.compare.text import MISSING, cell, json_text, setting
from gittrack.core import fields, layout, spans
from gittrack.errors import BadExpression
from gittrack.lazy import lazy
from gittrack.runs.row import QUEUED, Row

WIDEST = 40  # characters of one cell: the rest of a 10,000-character parameter is for `show` and --json
MOST_METRICS = 3
SYSTEM = "system/"
TIMES = ("created", "started", "ended")
FACTS = (
    "id", "name", "status", "created", "started", "ended", "duration", "exit_code", "experiment", "command", "user",
    "host", "base", "snapshot", "tags", "baseline", "deleted", "checkpoints",
)  # fmt: skip


class Column(NamedTuple):
    """`key`: what the column shows, as --columns takes it. `keep`: 0 to 9, how long it stays on a narrow terminal."""

    key: str
    title: str
    texts: list[str]
    right: bool = False
    keep: int = 9


def default_columns(rows: Sequence[Row], now: float, short: int = layout.SHORT) -> list[Column]:
    """id, name, age, state, duration, what differs among `rows`, and the primary metric (best and last).

    `short`: how many digits of an id are shown.
    """
    keys = ["id"]
    keys += ["name"] if any(row.name for row in rows) else []
    keys += ["age", "state", "duration"]
    keys += ["continues"] if any(row.continues for row in rows) else []
    keys += ["tags"] if any(map(tags, rows)) else []
    taken = {*fields.FIELDS, fields.AGE}
    keys += [name if name not in taken else f"params.{name}" for name in differing(rows)]
    keys += metric_keys(rows)
    return [column(rows, key, now, short) for key in keys]


def giving_way(columns: Sequence[Column]) -> list[Column]:
    """Columns that nobody asked for: where there is little room they go before those that somebody did."""
    return [column if column.keep > 8 else column._replace(keep=min(column.keep, 7)) for column in columns]


def column_keys(text: str, known: fields.Known) -> list[str]:
    """The keys of `--columns id,params.lr,loss.best`. Raises BadExpression for a name that no run has."""
    keys = [key.strip() for key in text.removeprefix("+").split(",") if key.strip()]
    if not keys:
        raise BadExpression("--columns names no column", "write for example `--columns id,params.lr,loss.best`")
    for key in keys:
        if key not in known:
            raise _unknown(key, known)
    return keys


def column(rows: Sequence[Row], key: str, now: float, short: int = layout.SHORT) -> Column:
    """The column that shows `key` of each run."""
    if key == "id":
        return Column(key, key, [row.id[:short] for row in rows])
    if key == "name":
        return Column(key, key, [clipped(cell(row.name)) if row.name else MISSING for row in rows], keep=8)
    if key == "age":
        return Column(key, key, [age(row.created, now) for row in rows], right=True, keep=8)
    if key in ("state", "status"):
        return Column(key, key, [cell(row.status) for row in rows])
    if key == "duration":
        return Column(key, key, [_length(duration(row, now)) for row in rows], right=True, keep=4)
    if key in ("tags", "tag"):
        return Column(key, key, [clipped(cell(tags(row))) for row in rows], keep=2)
    if key in TIMES:
        return Column(key, key, [time_text(getattr(row, key)) for row in rows], keep=3)
    if key in ("base", "snapshot"):
        return Column(key, key, [(getattr(row, key) or MISSING)[: layout.SHORT] for row in rows], keep=3)
    if key == "continues":
        return Column(key, key, [continued(row) or MISSING for row in rows], keep=2)
    values = [fields.value(row, key, now) for row in rows]
    right = all(isinstance(value, (int, float)) or value is None for value in values)
    if _is_metric(rows, key):
        return Column(key, _title(key), list(map(cell, values)), right, keep=6)
    # What few of these runs have is the first to go where there is little room: the others are told apart by the rest.
    # So does what has one value in all that have it.
    rare = sum(value is None for value in values) * 3 > len(values) * 2
    rare = rare or len({str(value) for value in values if value is not None}) == 1
    return Column(key, _title(key), [clipped(setting(value)) for value in values], right, keep=1 if rare else 3)


def _title(key: str) -> str:
    prefix, dot, rest = key.partition(".")
    title = rest if dot and prefix in ("params", "metrics", "summary") and rest not in fields.FIELDS else key
    return clipped(cell(title))


def _is_metric(rows: Sequence[Row], key: str) -> bool:
    return key.startswith(("metrics.", "summary.")) or not (
        key.startswith("params.") or key in fields.FIELDS or any(key in row.params for row in rows)
    )


def metric_keys(rows: Sequence[Row]) -> list[str]:
    """The columns for the primary metrics of `rows`: best and last of each; without any, the last of the commonest."""
    primaries = Counter(row.primary[0] for row in rows if row.primary)
    keys = []
    for name, _ in primaries.most_common(MOST_METRICS):
        keys += [f"metrics.{name}.best", f"metrics.{name}"]
    if keys:
        return keys
    common = Counter(name for row in rows for name in row.metrics if not name.startswith(SYSTEM))
    return [f"metrics.{name}" for name, _ in common.most_common(MOST_METRICS)]


def differing(rows: Sequence[Row]) -> list[str]:
    """The parameters that have not the same value in all of `rows`, by name. A missing one differs from any value."""
    if len(rows) < 2:
        return []
    first, found = rows[0].params, set()
    absent = object()
    for row in rows[1:]:
        if row.params != first:
            for name in row.params.keys() | first.keys():
                if name not in found:
                    ours, other = row.params.get(name, absent), first.get(name, absent)
                    if ours != other and not (ours != ours and other != other):
                        found.add(name)
    return sorted(found)


def _unknown(key: str, known: fields.Known) -> BadExpression:
    error: BadExpression = lazy("gittrack.core.query").unknown(key, known)
    return error


def _codec() -> Any:
    return lazy("gittrack.core.codec")


def age(created: float | None, now: float) -> str:
    return MISSING if created is None else spans.format_age(now - created)


def duration(row: Row, now: float) -> float | None:
    """Seconds that the run took, or has taken so far."""
    if row.status in ("running", QUEUED) and row.ended is None and row.started is not None:
        return max(now - row.started, row.duration or 0.0)
    return row.duration


def _length(seconds: float | None) -> str:
    return MISSING if seconds is None else spans.format_duration(seconds)


def tags(row: Row) -> list[str]:
    """Tags, the marks that are no tags before them."""
    marks = [mark for mark in ("baseline", "deleted") if getattr(row, mark)]
    return [*marks, *row.tags]


def continued(row: Row) -> str | None:
    """What a resumed run goes on from: `7c21fab@10`."""
    return _other(row.continues)


def came_from(row: Row) -> str | None:
    """Whose code or files a run started from, and how they came: `7c21fab@10 (checkpoint)`."""
    other = _other(row.origin)
    how = (row.origin or {}).get("how")
    return f"{other} ({cell(how)})" if other and how else other


def _other(named: Mapping[str, Any] | None) -> str | None:
    if not named or not named.get("run"):
        return None
    step = named.get("step")
    return cell(str(named["run"])[: layout.SHORT]) + (f"@{cell(step)}" if step is not None else "")


def time_text(seconds: float | None) -> str:
    return MISSING if seconds is None else _codec().format_time(seconds)[:19] + "Z"


def clipped(text: str) -> str:
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"


def short_ids(ids: Iterable[str]) -> int:
    """How many digits tell all of `ids` apart, at least as many as git shows."""
    longest, before = layout.SHORT - 1, ""
    for run_id in sorted(ids):
        while run_id[: longest + 1] == before[: longest + 1] and run_id != before:
            longest += 1
        before = run_id
    return max(layout.SHORT, longest + 1)


def document(row: Row) -> dict[str, Any]:
    """A run for --json: every column whole, times as text (docs/format.md §6)."""
    found: dict[str, Any] = {name: value for name, value in row._asdict().items() if name not in ("given", "heartbeat")}
    for name in TIMES:
        found[name] = None if found[name] is None else _codec().format_time(found[name])
    found["primary"] = {"metric": row.primary[0], "goal": row.primary[1]} if row.primary else None
    return found


def json_lines(rows: Iterable[Row]) -> Iterator[str]:
    """A JSON list, one run a line."""
    before = "["
    for row in rows:
        yield before + "\n" + json_text(_codec().dumps(document(row)).decode().rstrip("\n"))
        before = ","
    yield "[]\n" if before == "[" else "\n]\n"


def csv_keys(rows: Sequence[Row]) -> list[str]:
    """The columns of --csv: facts, then `params.*`, then `metrics.*` (last) and their best."""
    known = fields.Known(rows)
    keys = [*FACTS, *(f"params.{name}" for name in sorted(known.params))]
    for name in sorted(known.metrics):
        goal = any("best" in row.metrics.get(name, ()) for row in rows)
        keys += [f"metrics.{name}"] + ([f"metrics.{name}.best"] if goal else [])
    return keys


def csv_rows(rows: Sequence[Row], keys: Sequence[str], now: float) -> Iterator[list[Any]]:
    """A line of titles, then one per run, values whole."""
    yield list(keys)
    for row in rows:
        yield [_flat(key, fields.value(row, key, now)) for key in keys]


def _flat(key: str, value: Any) -> Any:
    if key in TIMES and value is not None:
        return _codec().format_time(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list, tuple)):
        return _codec().dumps(value).decode().rstrip("\n") if isinstance(value, dict) else ",".join(map(str, value))
    return "" if value is None else value
