"""The comparison that was asked for, worked out: runs or groups, with baseline, goals and what there is to remark."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from gittrack.compare import at as moments
from gittrack.compare import export, layout
from gittrack.compare import frame as frames
from gittrack.compare import groups as groups_
from gittrack.compare.grid import WRITERS, Grid
from gittrack.compare.listing import short_ids
from gittrack.core import fields, query
from gittrack.errors import UsageError
from gittrack.git.repository import Repository
from gittrack.runs.row import Row

FORMATS = ("table", "json", "csv", *WRITERS)


class Wish(NamedTuple):
    """What a comparison is to show. `keys`: group by these; None compares run by run."""

    at: moments.At = moments.At(moments.LAST)
    everything: bool = False
    keys: Sequence[str] | None = None
    seeds: bool = False


class Compared(NamedTuple):
    """`remarks`: what the reader must know to read the table right."""

    rows: Sequence[Row]
    goals: Mapping[str, str]
    at: moments.At
    baseline: str | None
    remarks: list[str]
    frame: pd.DataFrame | None = None
    deltas: pd.DataFrame | None = None
    keys: Sequence[str] = ()
    groups: Sequence[groups_.Group] = ()
    metrics: Sequence[str] = ()


def compare(
    repo: Repository,
    rows: Sequence[Row],
    wish: Wish,
    now: float,
    baseline: Row | None = None,
    goals: Mapping[str, str] | None = None,
) -> Compared:
    """`rows` compared. `goals` of the settings serve where the runs say none. Raises UsageError, BadExpression.

    `baseline`: the run that others are held against; it joins the rows when it is not among them.
    """
    if baseline is not None and all(row.id != baseline.id for row in rows):
        rows = [baseline, *rows]
    agreed, torn = frames.goals(rows)
    agreed = {**{name: goal for name, goal in (goals or {}).items() if name not in torn}, **agreed}
    values = None if wish.at.kind == moments.LAST else moments.of_all(repo, rows, wish.at)
    remarks = [f"the runs disagree on the goal of {name}: its best value is not marked" for name in torn]
    base = baseline.id if baseline else None
    if wish.keys is None and not wish.seeds:
        frame = frames.filled(frames.compared(rows, now, values, wish.everything))
        shown = frame if wish.everything else _kept(frame)
        deltas = frames.deltas(shown, base) if base else None
        named = [name for kind, name in frames.keys(shown) if kind == frames.METRICS]
        return Compared(rows, agreed, wish.at, base, remarks + _goalless(named, agreed, torn), shown, deltas)
    keys = groups_.seed_keys(rows) if wish.seeds else _checked(wish.keys or (), rows)
    found = groups_.gather(rows, keys, values, wish.everything) if keys else [_one(rows, values, wish.everything)]
    named = groups_.names(found)
    remarks += _goalless(named, agreed, torn)
    if wish.seeds:
        remarks += _codes(rows, found)
    if base is None and len(found) > 1:
        remarks.append(
            "no p-values: there is no baseline; mark one with `git track baseline RUN`, or give --against RUN"
        )
    return Compared(rows, agreed, wish.at, base, remarks, keys=keys, groups=found, metrics=named)


def _kept(frame: pd.DataFrame) -> pd.DataFrame:
    """What differs, and the names of the runs."""
    differing = set(frames.keys(frames.differing(frame))) | {(frames.RUN, "name")}
    kept: pd.DataFrame = frame.loc[:, [key in differing for key in frames.keys(frame)]]
    return kept


def _one(rows: Sequence[Row], values: Any, everything: bool) -> groups_.Group:
    """All runs as a single group: they differ in seeds alone."""
    return groups_.gather(rows, (), values, everything)[0]


def _codes(rows: Sequence[Row], found: Sequence[groups_.Group]) -> list[str]:
    """Runs of one group are taken for repetitions: where their code differs, that may be wrong."""
    code = {row.id: row.snapshot for row in rows}
    mixed = sum(len({code[run_id] for run_id in group.runs}) > 1 for group in found)
    if not mixed:
        return []
    which = "a group holds" if mixed == 1 else f"{mixed} groups hold"
    return [f"{which} runs of different code; `git track diff A B` shows what, `-g KEY -g snapshot` keeps them apart"]


def _checked(keys: Sequence[str], rows: Sequence[Row]) -> Sequence[str]:
    known = fields.Known(rows)
    for key in keys:
        if key not in known:
            raise query.unknown(key, known)
    if not keys:
        raise UsageError("--group-by names nothing", "write for example --group-by params.lr")
    return keys


def _goalless(metrics: Sequence[str], goals: Mapping[str, str], torn: Sequence[str]) -> list[str]:
    missing = [name for name in metrics if name not in goals and name not in torn]
    if not missing:
        return []
    how = f"`goals: {{{missing[0]}: minimize}}` (or maximize) in gittrack.yaml says it"
    return [f"no best is marked for {', '.join(missing)}: whether low or high is good is not known; {how}"]


def grid(found: Compared, transposed: bool) -> Grid:
    """The comparison as texts: a column per run and a row per group; `transposed` the other way round."""
    if found.frame is None:
        made = layout.of_groups(found.groups, found.keys, found.metrics, found.goals, _base_group(found))
    else:
        short = short_ids(row.id for row in found.rows)
        best = frames.best(found.frame, found.goals)
        made = layout.of_runs(found.frame, found.goals, best, short, found.baseline, found.deltas)
    return made.transposed() if transposed else made


def written(found: Compared, form: str, transposed: bool) -> str:
    """The comparison in one of FORMATS other than `table`."""
    if form in WRITERS:
        return WRITERS[form](grid(found, transposed))
    if found.frame is None:
        base = _base_group(found)
        if form == "csv":
            return export.groups_csv(found.groups, found.keys, found.metrics, base)
        return export.groups_json(found.groups, found.keys, found.metrics, found.goals, str(found.at), base)
    if form == "csv":
        return export.runs_csv(found.frame, found.deltas, transposed)
    best = frames.best(found.frame, found.goals)
    return export.runs_json(found.frame, found.rows, found.goals, best, str(found.at), found.baseline, found.deltas)


def _base_group(found: Compared) -> groups_.Group | None:
    return next((group for group in found.groups if found.baseline in group.runs), None)
