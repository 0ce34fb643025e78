"""Runs in Python: `gittrack.runs()`, a lazy sequence, and what one run offers there.

Nothing is read before it is asked for: the list from the index at the first look, a record, a series or a console only
when its attribute is. pandas is loaded by the methods that return its objects.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, overload

from gittrack.compare import diff as diffs
from gittrack.compare import listing
from gittrack.compare.selection import select
from gittrack.compare.text import cell, setting
from gittrack.config import environment
from gittrack.core import layout
from gittrack.core.events import Metrics
from gittrack.core.model import Point, Record
from gittrack.core.moments import Clock
from gittrack.errors import RunNotFound, UsageError
from gittrack.git.discover import discover
from gittrack.git.repository import Repository
from gittrack.lazy import lazy
from gittrack.runs import reader
from gittrack.runs.index import open_index
from gittrack.runs.row import Row

if TYPE_CHECKING:
    import pandas as pd

    from gittrack.compare.checkpoints import Checkpoint, Checkpoints
    from gittrack.compare.files import Files

T = TypeVar("T")

SHOWN = 20  # runs in a repr


class Place:
    """A repository that is opened when it is first needed, and stays open as long as somebody looks at its runs."""

    def __init__(self, directory: str) -> None:
        self._environ = environment.current()
        self.paths = discover(directory, self._environ)
        self._repository: Repository | None = None

    @property
    def repository(self) -> Repository:
        if self._repository is None:
            self._repository = lazy("gittrack.git.open").open_repository(self.paths, self._environ)
        assert self._repository is not None
        return self._repository

    def rows(self, where: Sequence[str], sort: str | None, deleted: bool) -> list[Row]:
        """The rows of the runs as of now."""
        index = open_index(self.paths)
        try:
            index.refresh(lambda: self.repository)
            return select(index, _clock, where, sort, None, deleted).rows
        finally:
            index.close()

    def row(self, run_id: str) -> Row | None:
        """The row of one run as of now; None when it is not here."""
        index = open_index(self.paths)
        try:
            index.refresh(lambda: self.repository)
            return index.row(run_id)
        finally:
            index.close()

    def goals(self) -> Mapping[str, str]:
        """The goals of gittrack.yaml and the like."""
        git = self.repository.git
        config = lazy("gittrack.git.command").config(git)
        found: Mapping[str, str] = lazy("gittrack.config.settings").load(self.paths, self._environ, config).goals
        return found


def _clock() -> Clock:
    return Clock(time.time(), lambda fields: time.mktime((*fields[:6], 0, 0, -1)), time.localtime)  # type: ignore[arg-type]


def goal_of(rows: Sequence[Row], metric: str, place: Place) -> str:
    """`minimize` or `maximize`, as the runs say, else the settings. Raises UsageError, RunNotFound for a name that no
    run has."""
    if not any(metric in row.metrics for row in rows):
        raise lazy("gittrack.runs.selectors").no_metric(rows, metric)
    said = {row.goals[metric] for row in rows if metric in row.goals}
    said |= {row.primary[1] for row in rows if row.primary and row.primary[0] == metric}
    goal = said.pop() if len(said) == 1 else None if said else place.goals().get(metric)
    if goal is None:
        problem = "the runs disagree" if said else "nobody said"
        raise UsageError(
            f"{problem} whether a low or a high {metric} is best",
            f"write `goals: {{{metric}: minimize}}` (or maximize) into gittrack.yaml",
        )
    return goal


def _files() -> ModuleType:
    """Reading a list of runs loads nothing of stores."""
    return lazy("gittrack.compare.checkpoints")


def runs(where: str | None = None, repo: str = ".", sort: str | None = None, deleted: bool = False) -> "Runs":
    """The runs of the repository at `repo`, newest first, or in the order of `sort` (as in `git track ls --sort`).

    `where` is an expression as in `git track ls --where`. Raises NotARepository here, and BadExpression at the first
    look at the runs.
    """
    place = Place(repo)
    return Runs(place, lambda: place.rows([where] if where else [], sort, deleted))


class Runs(Sequence["RunView"]):
    """Runs in an order. A slice is Runs again. What was read stays as it was: call `gittrack.runs()` for news."""

    def __init__(self, place: Place, load: Callable[[], list[Row]]) -> None:
        self._place = place
        self._load = load
        self._loaded: list[Row] | None = None

    @property
    def _rows(self) -> list[Row]:
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> "RunView": ...
    @overload
    def __getitem__(self, index: slice) -> "Runs": ...
    def __getitem__(self, index: "int | slice") -> "RunView | Runs":
        if isinstance(index, slice):
            return Runs(self._place, lambda: self._rows[index])
        return RunView(self._place, self._rows[index])

    def __iter__(self) -> Iterator["RunView"]:
        return (RunView(self._place, row) for row in self._rows)

    def latest(self) -> "RunView":
        """The run that was started last. Raises RunNotFound when there is none."""
        return RunView(self._place, max(self._some(), key=lambda row: row.created or 0.0))

    def best(self, metric: str | None = None) -> "RunView":
        """The run with the best value that `metric` (the primary one, when not given) ever had; of equals the first.

        What is best is what the runs say (`primary_metric`, goals), else `goals:` in gittrack.yaml. Raises UsageError
        when nobody says it, RunNotFound when no run has a value.
        """
        rows = self._some()
        if metric is None:
            metric = next((row.primary[0] for row in rows if row.primary), None)
        if metric is None:
            raise UsageError("no run says which metric decides what is best", 'name it: runs.best("loss")')
        side, sign = ("min", 1) if goal_of(rows, metric, self._place) == "minimize" else ("max", -1)
        values = [(row.metrics[metric].get(side), row) for row in rows if metric in row.metrics]
        there = [(value, row) for value, row in values if value is not None]
        if not there:
            raise RunNotFound(f"none of these runs has a value of {metric!r}", "`git track ls --columns help`: names")
        return RunView(self._place, min(there, key=lambda pair: sign * pair[0])[1])

    def _some(self) -> list[Row]:
        if not self._rows:
            raise RunNotFound("there is no such run", "`git track ls` lists the runs of this repository")
        return self._rows

    def to_pandas(self) -> "pd.DataFrame":
        """One row per run, indexed by id: facts, `params.*`, `metrics.*` (last) and `metrics.*.best`.

        Times are UTC timestamps, durations seconds.
        """
        frame: pd.DataFrame = lazy("gittrack.compare.frame").wide(self._rows)
        return frame

    def __repr__(self) -> str:
        shown = self._rows[:SHOWN]
        if not shown:
            return "no runs"
        columns = listing.default_columns(shown, time.time())
        widths = [max(len(text) for text in [column.title, *column.texts]) for column in columns]
        lines = [[column.title for column in columns], *zip(*(column.texts for column in columns), strict=True)]
        texts = ["  ".join(t.ljust(w) for t, w in zip(row, widths, strict=True)).rstrip() for row in lines]
        return "\n".join([*texts, *self._more()])

    def _repr_html_(self) -> str:
        shown = self._rows[:SHOWN]
        if not shown:
            return "<p>no runs</p>"
        columns = listing.default_columns(shown, time.time())
        head = "".join(f"<th>{escape(column.title)}</th>" for column in columns)
        lines = zip(*(column.texts for column in columns), strict=True)
        body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in lines)
        more = "".join(f"<p>{text}</p>" for text in self._more())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"

    def _more(self) -> list[str]:
        return [f"… and {len(self._rows) - SHOWN} more"] if len(self._rows) > SHOWN else []


class RunView:
    """One run, as it stood when it was listed; series, checkpoints and console are read when they are asked for."""

    def __init__(self, place: Place, row: Row) -> None:
        self._place = place
        self._row = row
        self._record: Record | None = None

    @property
    def id(self) -> str:
        return self._row.id

    @property
    def name(self) -> str | None:
        return self._row.name

    @property
    def status(self) -> str:
        """`running`, `completed`, `failed`, `killed`, `crashed`, or `lost?`."""
        return self._row.status

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(self._row.tags)

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._row.notes)

    @property
    def experiment(self) -> str | None:
        return self._row.experiment

    @property
    def created(self) -> float | None:
        """Seconds since the epoch."""
        return self._row.created

    @property
    def duration(self) -> float | None:
        """Seconds; of a running run, so far."""
        return listing.duration(self._row, time.time())

    @property
    def params(self) -> dict[str, Any]:
        """Name -> value, typed as it was recorded."""
        return dict(self._row.params)

    @property
    def summary(self) -> dict[str, dict[str, Any]]:
        """Metric -> {"last", "min", "max", "count", each with its step, and with a goal "best"}."""
        return {name: dict(state) for name, state in self._row.metrics.items()}

    @property
    def snapshot(self) -> str | None:
        """The commit that holds the run's code: `git show` it, or check it out."""
        return self._row.snapshot

    @property
    def record(self) -> Record:
        """The whole record: `.facts`, `.status`, `.params` (with sources), `.summary`. Raises DamagedRecord."""
        if self._record is None:
            self._record = reader.read(self._place.repository, self.id)
        return self._record

    def metrics(self, name: str | None = None, chain: bool = False) -> Any:
        """The whole series of a metric: a pandas Series over steps (index `step`).

        Without a name, a DataFrame of all metrics, one line per step. Of a repeated step the value that came last: a
        metric that is both logged and named in `checkpoint` at a step is there once. `chain`: of a resumed run, with
        the series of the runs that it continues before it, each up to the step at which it was continued.
        Raises RunNotFound for a metric that the run has not.
        """
        frames = lazy("gittrack.compare.frame")
        chained = self._chain() if chain else [(self, None)]
        if name is None:
            return frames.table_of_lines(line for run, end in chained for line in run._lines(end))
        if not any(run._has(name) for run, _ in chained):
            known = ", ".join(sorted(self._row.metrics)[:10]) or "none"
            raise RunNotFound(f"run {self.id[: layout.SHORT]} has no metric {name!r}", f"it has: {known}")
        return frames.series([point for run, end in chained for point in run._points(name, end)], name)

    def _has(self, name: str) -> bool:
        return name in self._row.metrics or name in (self.record.summary.get("metrics") or {})

    def _points(self, name: str, end: int | None) -> list[Point]:
        found = reader.points(self._place.repository, self.record, name)
        return [point for point in found if end is None or point.step <= end]

    def _lines(self, end: int | None) -> Iterator[Metrics]:
        found = reader.lines(self._place.repository, self.record)
        return (line for line in found if end is None or line.step <= end)

    def _chain(self) -> "list[tuple[RunView, int | None]]":
        """This run and those that it continues, the oldest first, each with the last step that counts of it."""
        chained: list[tuple[RunView, int | None]] = [(self, None)]
        seen = {self.id}
        while (parent := chained[0][0].parent_run) is not None and parent.id not in seen:
            seen.add(parent.id)  # a record can be written by anybody, and go round in a circle
            steps = [chained[0][0]._continued_at(), *(end for _, end in chained)]
            chained.insert(0, (parent, min((step for step in steps if step is not None), default=None)))
        return chained

    def _continued_at(self) -> int | None:
        step = (self._row.continues or {}).get("step")
        return step if isinstance(step, int) else None

    @property
    def checkpoints(self) -> "Checkpoints":
        """The checkpoints in order, each with `.step`, `.metrics`, `.files`, and `.open`, `.load`, `.checkout`."""
        found: Checkpoints = _files().of_run(lambda: self._place.repository, self.record)
        return found

    def best(self, metric: str | None = None) -> "Checkpoint":
        """The checkpoint with the best value of `metric`, or of the primary metric. Raises RunNotFound, UsageError."""
        if metric is None:
            if self._row.primary is None:
                raise UsageError("the run does not say which metric decides what is best", 'name it: run.best("loss")')
            metric = self._row.primary[0]
        return self.checkpoints.best(metric, goal_of([self._row], metric, self._place))

    def latest(self) -> "Checkpoint":
        """The last checkpoint. Raises RunNotFound when there is none."""
        return self.checkpoints.latest()

    @property
    def artifacts(self) -> "Files":
        """All files of the run in the order in which they were kept, each with `.path`, `.size`, `.sha256`, `.step`,
        and `.open`, `.read`, `.load`, `.checkout`."""
        every = lazy("gittrack.runs.artifacts").listed(self._place.repository, self.record)
        found: Files = lazy("gittrack.compare.files").of(lambda: self._place.repository, self.record, every)
        return found

    def open(self, path: str, step: int | None = None) -> BinaryIO:
        """The last file of the run that has this path, for reading; of a step, when one is given. Raises RunNotFound,
        MissingContent."""
        opened: BinaryIO = _files().open_last(self._place.repository, self.record, path, step)
        return opened

    @property
    def parent_run(self) -> "RunView | None":
        """The run that this one continues, where it is a resumed one and the other is here."""
        origin = (self._row.continues or {}).get("run")
        row = self._place.row(str(origin)) if origin else None
        return RunView(self._place, row) if row else None

    def console(self) -> str:
        """All that the run printed; what is no UTF-8 is replaced."""
        return b"".join(reader.console(self._place.repository, self.record)).decode(errors="replace")

    def environment(self) -> dict[str, bytes]:
        """The files of the record's environment/, such as `requirements.txt`."""
        return reader.environment(self._place.repository, self.record)

    def diff(self, other: "RunView") -> diffs.Diff:
        """What differs from this run to `other`: facts, params, metrics, packages, environment; lists of Change."""
        return diffs.between(self.record, other.record, self.environment(), other.environment())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunView) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        name = f" {cell(self.name)}" if self.name else ""
        metric = self._row.primary[0] if self._row.primary else None
        value = self._row.metrics.get(metric, {}).get("last") if metric else None
        tail = f", {cell(metric)} {cell(value)}" if value is not None else ""
        return f"<run {self.id[: layout.SHORT]}{name}: {cell(self.status)}{tail}>"

    def _repr_html_(self) -> str:
        facts = {"run": self.id, "name": self.name or "-", "status": self.status, "snapshot": self.snapshot or "-"}
        lines = [(label, cell(value)) for label, value in facts.items()]
        lines += [(cell(name), setting(value)) for name, value in sorted(self.params.items())]
        lines += [(cell(name), cell(state.get("last"))) for name, state in sorted(self.summary.items())]
        body = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(listing.clipped(text))}</td></tr>" for name, text in lines
        )
        return f"<table><tbody>{body}</tbody></table>"
