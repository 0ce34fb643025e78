"""What differs between two runs, code aside: parameters, metrics, packages, environment. Pure.

The code is for `git diff` of the two snapshots, which nobody does better.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from gittrack.compare import card
from gittrack.compare.listing import SYSTEM
from gittrack.compare.text import cell, setting, signed
from gittrack.core.model import Record

_UNTOLD = ("build",)  # of python.json: a text that repeats version and compiler


class Change(NamedTuple):
    """A value in the first run and in the second; None where it is missing."""

    name: str
    before: Any
    after: Any

    @property
    def delta(self) -> float | None:
        """after - before of two numbers."""
        if isinstance(self.before, bool) or isinstance(self.after, bool):
            return None
        if not isinstance(self.before, (int, float)) or not isinstance(self.after, (int, float)):
            return None
        return self.after - self.before


class Diff(NamedTuple):
    """All lists are sorted by name and hold differences only."""

    facts: list[Change]
    params: list[Change]
    metrics: list[Change]
    packages: list[Change]
    environment: list[Change]

    def __bool__(self) -> bool:
        return any(self[:])


def between(first: Record, second: Record, first_files: Mapping[str, bytes], second_files: Mapping[str, bytes]) -> Diff:
    """From `first` to `second`. The files are those of environment/."""
    return Diff(
        facts=_changes(_facts(first), _facts(second)),
        params=_changes(_values(first.params), _values(second.params)),
        metrics=_changes(_metrics(first), _metrics(second)),
        packages=_packages(first_files, second_files),
        environment=_changes(_environment(first_files), _environment(second_files)),
    )


def _packages(first: Mapping[str, bytes], second: Mapping[str, bytes]) -> list[Change]:
    """What differs, where both are known: beside a run that is not Python's, every package of the other would stand."""
    before, after = card.packages(first), card.packages(second)
    return _changes(before, after) if before and after else []


def _facts(record: Record) -> dict[str, Any]:
    facts, status = record.facts, record.status
    return {
        "command": facts.get("command"),
        "directory": facts.get("cwd"),
        "experiment": facts.get("experiment"),
        "host": facts.get("host"),
        "state": status.get("status"),
        "exit code": status.get("exit_code"),
    }


def _values(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: found["value"] for name, found in params.items()}


def _metrics(record: Record) -> dict[str, Any]:
    found = (record.summary.get("metrics") or {}).items()
    return {name: state.get("last") for name, state in found if not name.startswith(SYSTEM)}


def _environment(files: Mapping[str, bytes]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in sorted(files):
        if name.endswith(".json"):
            found |= _flat(card.document(files, name), name[:-5])
    return found


def _flat(value: Any, prefix: str) -> dict[str, Any]:
    """Nested objects as `system.cpu.count`."""
    if not isinstance(value, dict):
        return {prefix: value}
    found: dict[str, Any] = {}
    for name, item in value.items():
        if name not in _UNTOLD:
            found |= _flat(item, f"{prefix}.{name}")
    return found


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    pairs = (Change(name, before.get(name), after.get(name)) for name in sorted({**before, **after}))
    both = [(change, change.name in before and change.name in after) for change in pairs]
    return [change for change, there in both if not (there and _same(change.before, change.after))]


def _same(before: Any, after: Any) -> bool:
    return type(before) is type(after) and (before == after or (before != before and after != after))


def parts(diff: Diff) -> list[card.Part]:
    """The page of `git track diff`, without its code."""
    sections = (("run", diff.facts), ("parameters", diff.params), ("metrics", diff.metrics),
                ("packages", diff.packages), ("environment", diff.environment))  # fmt: skip
    return [_part(heading, changes) for heading, changes in sections if changes]


def _part(heading: str, changes: list[Change]) -> card.Part:
    text = cell if heading == "metrics" else setting
    rows = [(cell(c.name), _clip(text(c.before)), _clip(text(c.after)), _delta(c)) for c in changes]
    deltas = any(row[3] for row in rows)
    titles = ("name", "before", "after", *(("change",) if deltas else ()))
    return card.Part(heading, titles=titles, rows=rows if deltas else [row[:3] for row in rows], right=(3,))


def _clip(text: str) -> str:
    return text if len(text) <= card.WIDEST else text[: card.WIDEST - 1] + "…"


def _delta(change: Change) -> str:
    return "" if change.delta is None or change.delta != change.delta else signed(change.delta)


def document(diff: Diff) -> dict[str, Any]:
    """For --json: section -> name -> {"before", "after"}, and "delta" of numbers."""
    return {
        section: {
            change.name: {"before": change.before, "after": change.after}
            | ({} if change.delta is None else {"delta": change.delta})
            for change in changes
        }
        for section, changes in diff._asdict().items()
    }
