"""The values of all metrics of a run at one moment: its last step, the best one, or step N.

`last` is in every summary. The other two mean the state of the run at a step, all metrics of it, and so take a pass
over its series: the best loss beside the accuracy of another moment would be a run that never was.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gittrack.core.events import Metrics
from gittrack.core.model import Record
from gittrack.errors import UsageError
from gittrack.git.repository import Repository
from gittrack.lazy import lazy
from gittrack.runs import reader
from gittrack.runs.row import Row

LAST, BEST, STEP = "last", "best", "step"


class At(NamedTuple):
    """`kind`: last, best or step; `step` of the last kind."""

    kind: str
    step: int = 0

    def __str__(self) -> str:
        return f"step={self.step}" if self.kind == STEP else self.kind


def parse(text: str) -> At:
    """`best`, `last` or `step=N`. Raises UsageError."""
    name, equals, number = text.partition("=")
    if text in (LAST, BEST):
        return At(text)
    if name == STEP and equals and number.lstrip("-").isdigit():
        return At(STEP, int(number))
    raise UsageError(f"--at {text} is not a moment", "write --at best, --at last or --at step=100")


def values(repo: Repository, row: Row, at: At) -> Mapping[str, Any]:
    """Metric -> its value at that moment; a metric that was not logged then has its last value before.

    `best` is the step at which the run's primary metric was best. Raises UsageError when it has none. A run that did
    not come as far as step N has no values there.
    """
    if at.kind == LAST:
        return {name: state.get("last") for name, state in row.metrics.items()}
    step = at.step
    if at.kind == BEST:
        step = best_step(row)
    record: Record = reader.read(repo, row.id)
    return until(reader.lines(repo, record), step)


def of_all(repo: Repository, rows: Sequence[Row], at: At) -> list[Mapping[str, Any]]:
    """`values` of each. Beside runs that have a best moment, one that has none (it died too early) has no values."""
    found: list[Mapping[str, Any]] = []
    problem: UsageError | None = None
    if at.kind != LAST:
        lazy("gittrack.runs.fetching").records(repo, [row.id for row in rows if row.archived])
    for row in rows:
        try:
            found.append(values(repo, row, at))
        except UsageError as error:
            found.append({})
            problem = error
    if problem is not None and not any(found):
        raise problem
    return found


def best_step(row: Row) -> int:
    """The step at which the primary metric was best."""
    state = row.metrics.get(row.primary[0]) if row.primary else None
    step = (state or {}).get("best_step")
    if row.primary is None or step is None:
        raise UsageError(
            f"run {row.id[:7]} has no best moment: nobody said which metric decides",
            "write `goals: {loss: minimize}` into gittrack.yaml, or give checkpoint() a primary_metric",
        )
    return int(step)


def until(lines: Iterable[Metrics], step: int) -> dict[str, Any]:
    """Metric -> the value of its highest step up to `step`; empty when no metric came as far. Rank 0 comes first."""
    found: dict[str, tuple[bool, int, Any]] = {}
    reached = False
    for line in lines:
        reached = reached or line.step >= step
        if line.step <= step:
            for name, value in line.values.items():
                place = (line.rank == 0, line.step)
                if name not in found or place >= found[name][:2]:
                    found[name] = (*place, value)
    return {name: value for name, (_, _, value) in found.items()} if reached else {}
