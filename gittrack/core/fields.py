"""Which names an expression, a sort key or a column may use, and what each one is of a run.

One answer for `--where`, `--sort`, `--columns` and the Python interface. A run comes as any value with the attributes
named in FIELDS, `params` (name -> value) and `metrics` (name -> {"last", "best", "min", "max", …}).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from gittrack.core.expression import Lookup
    from gittrack.core.query import SortKey

FIELDS: Mapping[str, str] = {
    "id": "id", "name": "name", "status": "status", "state": "status", "created": "created", "started": "started",
    "ended": "ended", "duration": "duration", "experiment": "experiment", "command": "command", "user": "user",
    "host": "host", "base": "base", "snapshot": "snapshot", "tags": "tags", "tag": "tags", "notes": "notes",
    "note": "notes", "baseline": "baseline", "archived": "archived", "deleted": "deleted", "live": "live",
    "checkpoints": "checkpoints", "exit_code": "exit_code", "signal": "signal", "reason": "reason", "points": "points",
    "parent": "parent", "continues": "continues", "origin": "origin",
}  # fmt: skip
AGE = "age"  # now - created
STATISTICS = ("last", "best", "min", "max", "count", "last_step", "best_step", "min_step", "max_step")


class Fielded(Protocol):
    """What is asked of a run here, besides the attributes in FIELDS."""

    @property
    def params(self) -> Mapping[str, Any]: ...
    @property
    def metrics(self) -> Mapping[str, Mapping[str, Any]]: ...


def value(row: Fielded, name: str, now: float = 0.0) -> Any:
    """What `row` has under `name`, or None. A metric without a statistic is its last value.

    A short name is a field, else a parameter, else a metric; `params.` and `metrics.` (or `summary.`) say which.
    """
    if name in ("continues", "origin"):
        other = getattr(row, name, None)
        if not other or (name == "origin" and other.get("step") is None):
            return other.get("run") if other else None
        return f"{other.get('run')}@{other.get('step')}"
    if name in FIELDS:
        return getattr(row, FIELDS[name], None)
    if name == AGE:
        created = getattr(row, "created", None)
        return None if created is None else now - created
    prefix, dot, rest = name.partition(".")
    if dot and prefix == "params":
        return row.params.get(rest)
    if dot and prefix in ("metrics", "summary"):
        return metric(row.metrics, rest)
    if name in row.params:
        return row.params[name]
    return metric(row.metrics, name)


def metric(metrics: Mapping[str, Mapping[str, Any]], name: str) -> Any:
    """`loss` (its last value) or `loss.best`, or None."""
    found, statistic = metrics.get(name), "last"
    if found is None:
        name, _, statistic = name.rpartition(".")
        found = metrics.get(name) if statistic in STATISTICS else None
    return None if found is None else found.get(statistic)


def lookup(row: Fielded, now: float = 0.0) -> "Lookup":
    """`value` of one run, as expressions want it."""
    return lambda name: value(row, name, now)


class Known:
    """Every name that some run of a list answers to."""

    def __init__(self, rows: Iterable[Fielded]) -> None:
        self.params: dict[str, None] = {}
        self.metrics: dict[str, None] = {}
        for row in rows:
            self.params.update(dict.fromkeys(row.params))
            self.metrics.update(dict.fromkeys(row.metrics))

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        prefix, dot, rest = name.partition(".")
        if dot and prefix == "params":
            return rest in self.params
        if dot and prefix in ("metrics", "summary"):
            return self._metric(rest)
        return name in FIELDS or name == AGE or name in self.params or self._metric(name)

    def _metric(self, name: str) -> bool:
        head, _, statistic = name.rpartition(".")
        return name in self.metrics or (head in self.metrics and statistic in STATISTICS)

    def __iter__(self) -> Iterator[str]:
        """The names, full and short, for suggestions."""
        yield from (*FIELDS, AGE)
        for kind, names in (("params.", self.params), ("metrics.", self.metrics)):
            for name in names:
                yield from (name, kind + name)


def order(rows: Iterable[Any], keys: "Iterable[SortKey]", now: float = 0.0) -> list[Any]:
    """`rows` sorted by `keys`, the first one first; a run that lacks a value, or has NaN, comes last either way."""
    ordered = list(rows)
    for key in reversed(list(keys)):
        there = [(_rank(found), row) for row in ordered if _counts(found := value(row, key.name, now))]
        missing = [row for row in ordered if not _counts(value(row, key.name, now))]
        there.sort(key=lambda pair: pair[0], reverse=key.descending)
        ordered = [row for _, row in there] + missing
    return ordered


def _counts(found: Any) -> bool:
    return found is not None and found == found and found != []


def _rank(found: Any) -> tuple[int, Any]:
    """Numbers before text, so that mixed values have an order."""
    if isinstance(found, (int, float)):
        return (0, found)
    return (1, found if isinstance(found, str) else str(found))
