"""Runs as pandas frames: the one door of pandas.

Two shapes. `wide` is for people's analyses: flat columns, pandas' own types. `compared` is for the comparison table:
one row per run, columns in two levels (kind, name), values untouched (an int stays an int beside a missing one).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from gittrack.compare.listing import SYSTEM, continued, duration
from gittrack.core.events import Metrics
from gittrack.core.model import Point
from gittrack.runs.row import Row

RUN, PARAMS, METRICS = "run", "params", "metrics"
FACTS = ("name", "status", "continues", "duration", "experiment", "user", "host", "snapshot", "tags")
MORE_FACTS = ("created", "command", "base", "exit_code", "checkpoints")
TIMES = ("created", "started", "ended")
_WIDE = ("name", "status", "created", "started", "ended", "duration", "exit_code", "experiment", "command", "user",
         "host", "base", "snapshot", "tags", "notes", "baseline", "checkpoints")  # fmt: skip


def wide(rows: Sequence[Row]) -> pd.DataFrame:
    """One row per run, indexed by id (index name `id`).

    Columns: facts (`name`, `status`, `created` and the other times as UTC timestamps, `duration` in seconds, …), then
    `params.<name>`, then per metric `metrics.<name>` (last value) and, with a goal, `metrics.<name>.best`.
    """
    records: list[dict[str, Any]] = []
    for row in rows:
        record = {name: getattr(row, name) for name in _WIDE}
        record |= {f"params.{name}": value for name, value in row.params.items()}
        for name, state in row.metrics.items():
            record[f"metrics.{name}"] = state.get("last")
            if "best" in state:
                record[f"metrics.{name}.best"] = state["best"]
        records.append(record)
    frame: pd.DataFrame = pd.DataFrame(records, index=pd.Index([row.id for row in rows], name="id", dtype=object))
    frame = frame.reindex(columns=[*_WIDE, *_ordered(frame.columns)])
    for name in TIMES:
        times = pd.to_datetime(frame[name].astype("float64"), unit="s", utc=True)
        frame[name] = times.astype("datetime64[us, UTC]")
    return frame


def _ordered(columns: Iterable[str]) -> list[str]:
    names = sorted(columns)
    return [name for prefix in ("params.", "metrics.") for name in names if name.startswith(prefix)]


def compared(
    rows: Sequence[Row], now: float, metrics: Sequence[Mapping[str, Any]] | None = None, everything: bool = False
) -> pd.DataFrame:
    """One row per run, indexed by id; columns (kind, name): kind is `run`, `params` or `metrics`.

    `metrics`: for each run its values, where the last ones are not what is wanted. System metrics and facts that only
    repeat others are there with `everything`.
    """
    records: list[dict[tuple[str, str], Any]] = []
    for number, row in enumerate(rows):
        record: dict[tuple[str, str], Any] = {(RUN, name): getattr(row, name) for name in FACTS}
        record[RUN, "duration"] = duration(row, now)
        record[RUN, "continues"] = continued(row)
        if everything:
            record |= {(RUN, name): getattr(row, name) for name in MORE_FACTS}
        record |= {(PARAMS, name): value for name, value in sorted(row.params.items())}
        last = {name: state.get("last") for name, state in row.metrics.items()}
        values = last if metrics is None else metrics[number]
        record |= {(METRICS, name): v for name, v in values.items() if everything or not name.startswith(SYSTEM)}
        records.append(record)
    names = sorted({key for record in records for key in record}, key=_place)
    columns = pd.MultiIndex.from_tuples(names, names=["kind", "name"]) if names else pd.MultiIndex.from_arrays([[], []])
    cells = [[record.get(name) for name in names] for record in records]
    index = pd.Index([row.id for row in rows], name="id", dtype=object)
    frame: pd.DataFrame = pd.DataFrame(_objects(cells, len(names)), index=index, columns=columns, dtype=object)
    return frame


def _objects(cells: list[list[Any]], count: int) -> dict[int, list[Any]] | list[list[Any]]:
    """Rows that pandas takes as they are: it must not look into lists for a shape of their own."""
    return cells if cells and count else []


def _place(key: tuple[str, str]) -> tuple[int, int, str]:
    kind, name = key
    order = (*FACTS, *MORE_FACTS)
    return (RUN, PARAMS, METRICS).index(kind), order.index(name) if kind == RUN else 0, name


def keys(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """The columns of `compared` as (kind, name)."""
    return [(str(kind), str(name)) for kind, name in list[Any](frame.columns)]


def differing(frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` with only the columns that have not the same value in every run. A single run keeps all."""
    if len(frame) < 2:
        return frame
    kept: pd.DataFrame = frame.loc[:, [_differs(list(frame.iloc[:, number])) for number in range(frame.shape[1])]]
    return kept


def _differs(values: list[Any]) -> bool:
    first = values[0]
    return any(type(v) is not type(first) or (v != first and not (v != v and first != first)) for v in values[1:])


def filled(frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` without the columns in which no run has a value."""
    there = [any(not _empty(v) for v in frame.iloc[:, number]) for number in range(frame.shape[1])]
    kept: pd.DataFrame = frame.loc[:, there]
    return kept


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, (list, tuple)) and not value)


def deltas(frame: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """The metrics of each run minus those of the run `baseline`; None where either is missing or no number."""
    metrics = frame.loc[:, frame.columns.get_level_values(0) == METRICS]
    base = metrics.loc[baseline]
    cells = [[_minus(value, base.iloc[n]) for n, value in enumerate(row)] for row in metrics.itertuples(index=False)]
    found: pd.DataFrame = pd.DataFrame(cells, index=metrics.index, columns=metrics.columns, dtype=object)
    return found


def _minus(value: Any, base: Any) -> Any:
    return value - base if isinstance(value, (int, float)) and isinstance(base, (int, float)) else None


def best(frame: pd.DataFrame, goals: Mapping[str, str]) -> dict[str, list[str]]:
    """Metric -> ids of the runs with the best value, for every metric with a goal that at least two runs have."""
    found = {}
    for name, goal in goals.items():
        if (METRICS, name) not in frame.columns:
            continue
        column = frame[METRICS, name]
        values = [v for v in column if isinstance(v, (int, float)) and v == v]
        if len(values) > 1:
            wanted = min(values) if goal == "minimize" else max(values)
            found[name] = [str(run_id) for run_id, value in column.items() if value == wanted]
    return found


def goals(rows: Sequence[Row]) -> tuple[dict[str, str], list[str]]:
    """The goals that these runs agree on, and the metrics for which they do not."""
    known: dict[str, set[str]] = {}
    for row in rows:
        for name, goal in {**row.goals, **({row.primary[0]: row.primary[1]} if row.primary else {})}.items():
            known.setdefault(name, set()).add(goal)
    agreed = {name: next(iter(found)) for name, found in known.items() if len(found) == 1}
    return agreed, sorted(name for name, found in known.items() if len(found) > 1)


def series(points: Sequence[Point], name: str) -> pd.Series:
    """The values of one metric, indexed by step (index name `step`), in the order of steps; the last of each step."""
    ordered = [*{point.step: point for point in sorted(points, key=lambda point: point.step)}.values()]
    index = pd.Index([point.step for point in ordered], name="step", dtype="int64")
    return pd.Series([point.value for point in ordered], index=index, name=name, dtype=None if ordered else "float64")


def table_of_lines(lines: Iterable[Metrics]) -> pd.DataFrame:
    """All metrics side by side, indexed by step; of a repeated step the value that came last, rank 0 before others."""
    found: dict[str, dict[int, tuple[bool, Any]]] = {}
    for line in lines:
        for name, value in line.values.items():
            column = found.setdefault(name, {})
            main = line.rank == 0
            if main or not column.get(line.step, (False,))[0]:
                column[line.step] = (main, value)
    columns = {name: pd.Series({step: v for step, (_, v) in found[name].items()}) for name in sorted(found)}
    frame: pd.DataFrame = pd.DataFrame(columns).sort_index()
    frame.index.name = "step"
    return frame
