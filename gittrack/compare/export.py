"""A comparison for machines: JSON and CSV, every value whole."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from gittrack.compare import frame as frames
from gittrack.compare import groups as groups_
from gittrack.compare.text import json_text
from gittrack.core import codec
from gittrack.runs.row import Row


def runs_json(
    frame: pd.DataFrame,
    rows: Sequence[Row],
    goals: Mapping[str, str],
    best: Mapping[str, Sequence[str]],
    at: str,
    baseline: str | None,
    deltas: pd.DataFrame | None,
) -> str:
    """`{"at", "baseline", "best", "goals", "runs": [{"id", "name", "run", "params", "metrics", "deltas"}]}`."""
    names = {row.id: row.name for row in rows}
    runs = []
    for run_id in map(str, frame.index):
        entry: dict[str, Any] = {"id": run_id, "name": names.get(run_id), "run": {}, "params": {}, "metrics": {}}
        for (kind, name), value in zip(frames.keys(frame), frame.loc[run_id], strict=True):
            entry[kind][name] = plain(value)
        if deltas is not None:
            there = zip(frames.keys(deltas), deltas.loc[run_id], strict=True)
            entry["deltas"] = {name: plain(value) for (_, name), value in there if value is not None}
        runs.append(entry)
    document = {"at": at, "baseline": baseline, "best": dict(best), "goals": dict(goals), "runs": runs}
    return json_text(codec.dumps(document).decode())


def plain(value: Any) -> Any:
    """A frame's value as the record has it."""
    return list(value) if isinstance(value, tuple) else value


def runs_csv(frame: pd.DataFrame, deltas: pd.DataFrame | None, transposed: bool) -> str:
    """One column per run, or `transposed` one line per run; names are `run.*`, `params.*`, `metrics.*`, `delta.*`."""
    titles = [f"{kind}.{name}" for kind, name in frames.keys(frame)]
    cells = [[_flat(value) for value in row] for row in frame.itertuples(index=False, name=None)]
    if deltas is not None:
        titles += [f"delta.{name}" for _, name in frames.keys(deltas)]
        more = deltas.itertuples(index=False, name=None)
        cells = [row + [_flat(value) for value in extra] for row, extra in zip(cells, more, strict=True)]
    lines = [["id", *titles]] + [[str(run_id), *row] for run_id, row in zip(frame.index, cells, strict=True)]
    return _csv(lines if transposed else [list(line) for line in zip(*lines, strict=True)])


def groups_json(
    found: Sequence[groups_.Group],
    keys: Sequence[str],
    metrics: Sequence[str],
    goals: Mapping[str, str],
    at: str,
    baseline: groups_.Group | None,
) -> str:
    """`{"at", "baseline", "goals", "groups": [{"key", "runs", "metrics": {name: {"n", "mean", "std", "p"}}}]}`."""
    entries = []
    for group in found:
        statistics = {name: groups_.statistic(group, name, baseline) for name in metrics}
        there = {name: statistic._asdict() for name, statistic in statistics.items() if statistic}
        entries.append({"key": _key(group, keys), "runs": group.runs, "metrics": there})
    base = _key(baseline, keys) if baseline else None
    document = {"at": at, "baseline": base, "goals": dict(goals), "groups": entries}
    return json_text(codec.dumps(document).decode())


def _key(group: groups_.Group, keys: Sequence[str]) -> dict[str, Any]:
    return dict(zip(keys, map(plain, group.key), strict=True))


def groups_csv(
    found: Sequence[groups_.Group], keys: Sequence[str], metrics: Sequence[str], baseline: groups_.Group | None
) -> str:
    """One line per group: its keys, `runs` (how many), then per metric `.n`, `.mean`, `.std` and `.p`."""
    lines: list[list[Any]] = [
        [*keys, "runs", *(f"{name}.{part}" for name in metrics for part in groups_.Statistic._fields)]
    ]
    for group in found:
        line = [*map(_flat, group.key), len(group.runs)]
        for name in metrics:
            line += groups_.statistic(group, name, baseline) or [""] * 4
        lines.append(["" if value is None else value for value in line])
    return _csv(lines)


def _flat(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return codec.dumps(plain(value)).decode().rstrip("\n") if isinstance(value, (list, tuple, dict)) else value


def _csv(lines: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()
