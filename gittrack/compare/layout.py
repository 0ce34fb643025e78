"""From compared values to the grid that people see: labels, texts, marks and deltas."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from gittrack.compare import frame as frames
from gittrack.compare import groups as groups_
from gittrack.compare.grid import Cell, Grid
from gittrack.compare.listing import clipped, time_text
from gittrack.compare.text import MISSING, cell, line, number, setting, signed
from gittrack.core import layout, spans

ARROWS = {"minimize": " ↓", "maximize": " ↑"}


def of_runs(
    frame: pd.DataFrame,
    goals: Mapping[str, str],
    best: Mapping[str, Sequence[str]],
    short: int = layout.SHORT,
    baseline: str | None = None,
    deltas: pd.DataFrame | None = None,
) -> Grid:
    """One column per run, one row per compared value. `deltas` (of `frames.deltas`) stand behind the values."""
    ids = [str(run_id) for run_id in frame.index]
    heads = [run_id[:short] + (" (baseline)" if run_id == baseline else "") for run_id in ids]
    names = frames.keys(frame)
    cells = []
    for number_, (kind, name) in enumerate(names):
        texts = [_text(kind, name, value) for value in frame.iloc[:, number_]]
        if deltas is not None and kind == frames.METRICS:
            there = deltas[kind, name]
            texts = [
                text + _delta(there.iloc[n]) if run_id != baseline else text
                for n, (run_id, text) in enumerate(zip(ids, texts, strict=True))
            ]
        winners = best.get(name, ()) if kind == frames.METRICS else ()
        cells.append([Cell(text, run_id in winners) for run_id, text in zip(ids, texts, strict=True)])
    labels = [_label(kind, name, names, goals) for kind, name in names]
    return Grid("", heads, labels, [kind for kind, _ in names], cells)


def _label(kind: str, name: str, names: Sequence[tuple[str, str]], goals: Mapping[str, str]) -> str:
    twice = sum(other == name for _, other in names) > 1
    text = clipped(cell(f"{kind}.{name}" if twice and kind != frames.RUN else name))
    return text + ARROWS.get(goals.get(name, ""), "") if kind == frames.METRICS else text


def _text(kind: str, name: str, value: Any) -> str:
    if kind == frames.PARAMS:
        return clipped(setting(value))
    if value is None or kind == frames.METRICS:
        return clipped(cell(value))
    if name == "duration":
        return spans.format_duration(value)
    if name == "created":
        return time_text(value)
    return str(value)[: layout.SHORT] if name in ("snapshot", "base") else clipped(cell(value))


def _delta(value: Any) -> str:
    return "" if value is None or value != value else f" ({signed(value)})"


def of_groups(
    found: Sequence[groups_.Group],
    keys: Sequence[str],
    metrics: Sequence[str],
    goals: Mapping[str, str],
    baseline: groups_.Group | None,
) -> Grid:
    """One row per group: the values of its keys, how many runs, per metric mean ± std, and p beside a baseline.

    Without keys there is one group, of runs that differ in nothing but their seeds, and none to test it against.
    """
    baseline = baseline if keys else None
    titles = [_title(key) for key in keys] or [""]
    heads = [*titles[1:], "runs"]
    for name in metrics:
        heads += [_label(frames.METRICS, name, [], goals)] + ([f"p {clipped(line(name))}"] if baseline else [])
    best = {name: best_group(found, name, goals) for name in metrics}
    labels, cells = [], []
    for group in found:
        values = [clipped(setting(value)) for value in group.key] or ["all"]
        labels.append(values[0] + (" (baseline)" if group is baseline else ""))
        row = [Cell(text) for text in values[1:]] + [Cell(str(len(group.runs)))]
        for name in metrics:
            statistic = groups_.statistic(group, name, baseline)
            row.append(Cell(_spread(statistic, len(group.runs)), group is best[name]))
            if baseline:
                row.append(Cell(_p(statistic)))
        cells.append(row)
    return Grid(titles[0], heads, labels, [""] * len(labels), cells)


def _title(key: str) -> str:
    prefix, dot, rest = key.partition(".")
    return clipped(cell(rest if dot and prefix == "params" else key))


def best_group(found: Sequence[groups_.Group], metric: str, goals: Mapping[str, str]) -> groups_.Group | None:
    """The group with the best mean of a metric that has a goal, when there are at least two to choose from."""
    means = [(s.mean, n) for n, group in enumerate(found) if (s := groups_.statistic(group, metric, None))]
    means = [(mean, n) for mean, n in means if mean == mean]
    if metric not in goals or len(means) < 2:
        return None
    return found[min(means)[1] if goals[metric] == "minimize" else max(means)[1]]


def _spread(statistic: groups_.Statistic | None, runs: int) -> str:
    if statistic is None or statistic.n == 0:
        return MISSING
    text = number(statistic.mean) + (f" ± {statistic.std:.2g}" if statistic.std == statistic.std else "")
    return text if statistic.n == runs else f"{text} (n={statistic.n})"


def _p(statistic: groups_.Statistic | None) -> str:
    if statistic is None or statistic.p is None or statistic.p != statistic.p:
        return MISSING
    return "<0.001" if statistic.p < 0.001 else f"{statistic.p:.2g}"
