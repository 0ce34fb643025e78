"""From what people type to the run they mean, or to the words that help them type it better."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gittrack import errors
from gittrack.core import layout, select
from gittrack.lazy import lazy
from gittrack.runs.index import Brief, Index
from gittrack.runs.row import Row

LISTED = 8  # matches shown of an ambiguous selector

NAMES = 5_000  # among which it is looked for one that is much like what was typed


class Target(NamedTuple):
    """A run, and the step of the checkpoint that was asked for (None: the run as a whole)."""

    id: str
    step: int | None
    row: Row


def resolve(
    index: Index, text: str, now: float, *, goals: Mapping[str, str] | None = None, deleted: bool = False
) -> Target:
    """The run that `text` selects. The index must be fresh. `goals` are those of the settings; `deleted`: look among
    deleted runs too.

    Raises AmbiguousSelector, RunNotFound, and UsageError for `best` where no goal is known.
    """
    problem: errors.GittrackError | None = None
    for reading in select.parse_selector(text):
        try:
            found = _find(index, reading, goals or {}, deleted, now)
        except errors.GittrackError as error:  # `best:map@50` may fail as a metric and be a checkpoint
            problem = problem or error
            continue
        if found is not None:
            row = index.row(found)
            if row is not None:
                return Target(found, _step(index, row, reading.point), row)
    raise problem or _not_found(index, text)


def resolve_all(
    index: Index, texts: Iterable[str], now: float, *, goals: Mapping[str, str] | None = None, deleted: bool = False
) -> list[Target]:
    """`resolve` for each of them, in order."""
    return [resolve(index, text, now, goals=goals, deleted=deleted) for text in texts]


def _find(
    index: Index,
    reading: select.Selector,
    goals: Mapping[str, str],
    deleted: bool,
    now: float,
) -> str | None:
    if reading.kind == "latest":
        return _latest(index.newest(reading.back + 1, deleted), reading.back)
    if reading.kind == "best":
        return _best(index.rows(deleted=deleted), reading.metric, goals)
    runs = index.beginning(reading.text) if reading.kind == "prefix" else index.named(reading.text)
    eligible = [run for run in runs if deleted or not run[3]]
    found = [run for run in eligible if run[0] == reading.text] or eligible  # a whole id before what begins so
    if len(found) > 1:
        raise _ambiguous(reading, found, now)
    return found[0][0] if found else None


def _latest(runs: Sequence[Brief], back: int) -> str:
    if back < len(runs):
        return runs[back][0]
    if not runs:
        raise errors.RunNotFound(
            "there are no runs here yet",
            "git track run python train.py makes one; git track pull brings those of others",
        )
    raise errors.RunNotFound(f"there are only {len(runs)} runs", f"the oldest is latest~{len(runs) - 1}")


def _best(rows: Sequence[Row], metric: str | None, goals: Mapping[str, str]) -> str:
    """`rows` are the newest first: of equal runs the newest is the best."""
    name, goal = _measure(rows, metric, goals)
    side, sign = ("min", 1) if goal == "minimize" else ("max", -1)
    values = [(sign * value, row.id) for row in rows if (value := (row.metrics.get(name) or {}).get(side)) is not None]
    if not values:
        raise errors.RunNotFound(f"no run has a value of {name} that is not NaN", _known_metrics(rows, name))
    return min(values, key=lambda one: one[0])[1]


def _measure(rows: Sequence[Row], metric: str | None, goals: Mapping[str, str]) -> tuple[str, str]:
    """The metric and goal that decide: those of the newest run that has any, else those of the settings."""
    if metric is None:
        for row in rows:
            if row.primary is not None:
                return row.primary
        if len(goals) == 1:
            return next(iter(goals.items()))
        raise errors.UsageError("no run says which metric decides what is best", "say it: best:METRIC; " + _how("loss"))
    if not any(metric in row.metrics for row in rows):
        raise no_metric(rows, metric)
    goal = goals.get(metric) or next((row.goals[metric] for row in rows if metric in row.goals), None)
    if goal is None:
        raise errors.UsageError(f"nobody said whether a high or a low {metric} is best", _how(metric))
    return metric, goal


def _how(metric: str) -> str:
    return f"put `goals: {{{metric}: minimize}}` (or maximize) into gittrack.yaml"


def _step(index: Index, row: Row, point: str | int | None) -> int | None:
    if point is None or isinstance(point, int):
        return point
    checkpoint: Mapping[str, Any] | None = row.best_checkpoint if point == "best" else row.latest_checkpoint
    if row.live:  # what is committed is some time old
        now: Mapping[str, Any] = lazy("gittrack.runs.live_checkpoints").so_far(index.paths, row.id)
        checkpoint = now[point] or checkpoint
    step = (checkpoint or {}).get("step")
    if step is None:
        short = row.id[: layout.SHORT]
        how = "run.checkpoint(step=…, metrics=…, primary_metric=(NAME, GOAL)) makes one"
        raise errors.RunNotFound(f"run {short} has no {point} checkpoint", how)
    return int(step)


def _ambiguous(reading: select.Selector, found: Sequence[Brief], now: float) -> errors.AmbiguousSelector:
    lines = [f"  {_distinct(run[0], found)}  {run[1] or '-'}  {age(run[2], now)}" for run in found[:LISTED]]
    more = [f"  … and {len(found) - LISTED} more"] if len(found) > LISTED else []
    what = "is the beginning of" if reading.kind == "prefix" else "is the name of"
    return errors.AmbiguousSelector(
        "\n".join([f"{reading.text!r} {what} {len(found)} runs:", *lines, *more]), "give one of these ids"
    )


def _distinct(run_id: str, others: Sequence[Brief]) -> str:
    """The shortest prefix, of the usual length at least, that none of the others has."""
    length = layout.SHORT
    while length < len(run_id) and sum(other[0].startswith(run_id[:length]) for other in others) > 1:
        length += 1
    return run_id[:length]


def _not_found(index: Index, text: str) -> errors.RunNotFound:
    base = text.rpartition("@")[0] or text
    starts = [] if select.is_short_prefix(base) else [text.lower(), base.lower()]
    like = [*index.named(text), *index.named(base), *(run for start in starts for run in index.beginning(start))]
    gone = [run for run in like if run[3]]
    if gone:
        short = gone[0][0][: layout.SHORT]
        return errors.RunNotFound(f"run {short} ({text}) was deleted", f"bring it back: git track restore {short}")
    if select.is_short_prefix(base) and (found := index.beginning(base.lower())):
        shown = ", ".join(_distinct(run[0], found) for run in found[:3]) + ", …" * (len(found) > 3)
        return errors.RunNotFound(
            f"{base!r} is too short: at least {select.SHORTEST_PREFIX} digits of an id are needed",
            f"ids that begin so: {shown}",
        )
    names = _nearest(text, index.names(NAMES))
    hint = f"did you mean {' or '.join(names)}?" if names else "`git track ls` lists the runs of this repository"
    return errors.RunNotFound(f"no run is called {text!r} or has an id that begins so", hint)


def no_metric(rows: Sequence[Row], metric: str) -> errors.RunNotFound:
    """The error for a name that none of these runs has."""
    return errors.RunNotFound(f"no run has a metric {metric!r}", _known_metrics(rows, metric))


def _known_metrics(rows: Sequence[Row], metric: str) -> str:
    names = {name: None for row in rows for name in row.metrics}
    shown = _nearest(metric, names) or list(names)[:LISTED]
    return f"metrics that there are: {', '.join(shown)}" if shown else "no run has logged a metric yet"


def _nearest(text: str, names: Iterable[str]) -> list[str]:
    found: list[str] = lazy("difflib").get_close_matches(text, sorted(names), n=3, cutoff=0.5)
    return found


def age(created: float | None, now: float) -> str:
    """`3 hours ago`: for messages."""
    if created is None:
        return "of unknown age"
    seconds = max(0, int(now - created))
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count = seconds // length
        if count or unit == "second":
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    raise AssertionError
