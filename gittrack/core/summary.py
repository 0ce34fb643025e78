"""What tables read of a run: per metric last, min, max, best, kept up to date point by point.

The loop over points is the hot part of a fold (a million points per run are ordinary), hence plain lists and one pass.
"""

import math
from collections.abc import Mapping
from typing import Any

from gittrack.core import codec

_LARGEST = 2**63 - 1  # of an integer that everybody can read

# one metric's state: places in the list
_COUNT, _LAST, _LAST_STEP, _MIN, _MIN_STEP, _MAX, _MAX_STEP = range(7)


class Summary:
    """The state behind summary.json. Feed it metric lines and checkpoints in the record's order."""

    def __init__(self) -> None:
        self.goals: dict[str, str] = {}
        self.primary: tuple[str, str] | None = None
        self.points = 0
        self.checkpoints = 0
        self._artifacts = 0
        self._artifact_bytes = 0
        self._main: dict[str, list[Any]] = {}
        self._ranked: dict[str, list[Any]] = {}
        self._latest: dict[str, Any] | None = None
        self._best: dict[str, Any] | None = None

    def declare(self, goals: Mapping[str, str]) -> None:
        """Goals known at the start. A single one names the primary metric too."""
        self.goals.update(goals)
        if self.primary is None and len(self.goals) == 1:
            self.primary = next(iter(self.goals.items()))

    def add(self, lines: list[dict[str, Any]]) -> None:
        """Take in metric lines as `json.loads` returned them."""
        for line in lines:
            step = line["s"]
            values = line["m"]
            if "$" in values:  # a metric of that name: the object is written as a list of pairs
                values = codec.decode(values)
            self.points += len(values)
            table = self._ranked if line.get("r") else self._main
            for name, value in values.items():
                if type(value) is dict:
                    value = codec.decode(value)
                state = table.get(name)
                if state is None:
                    if type(step) is not int:
                        raise TypeError(f"no step: {step!r:.40}")
                    table[name] = state = [0, None, step, None, None, None, None]
                state[_COUNT] += 1
                if step >= state[_LAST_STEP]:
                    state[_LAST] = value
                    state[_LAST_STEP] = step
                if value != value:
                    continue
                if state[_MIN] is None:
                    if not isinstance(value, (int, float)):
                        raise TypeError(f"no number: {value!r:.40}")
                    state[_MIN] = state[_MAX] = value
                    state[_MIN_STEP] = state[_MAX_STEP] = step
                elif value < state[_MIN]:
                    state[_MIN] = value
                    state[_MIN_STEP] = step
                elif value > state[_MAX]:
                    state[_MAX] = value
                    state[_MAX_STEP] = step

    def save(self) -> tuple[Any, ...]:
        """What `add` may change, for `restore`."""
        return self.points, *({name: state[:] for name, state in t.items()} for t in (self._main, self._ranked))

    def restore(self, saved: tuple[Any, ...]) -> None:
        """Back to what `save` returned: a block with a damaged line is taken in line by line instead."""
        self.points, self._main, self._ranked = saved

    def checkpoint(self, event: Mapping[str, Any]) -> None:
        """Take in a checkpoint event."""
        self.checkpoints += 1
        values = {name: _readable(value) for name, value in (event.get("m") or {}).items()}
        step = event.get("s")
        self._latest = {"metrics": values, "step": step}
        if event.get("primary"):
            metric, goal = event["primary"]
            if self.primary is not None and self.primary != (metric, goal):
                self._best = None  # another measure: what was best by the old one says nothing
            self.primary = (metric, goal)
            self.goals[metric] = goal
        if self.primary is None:
            return
        metric, goal = self.primary
        value = values.get(metric)
        if value is None or value != value:
            return
        best = self._best["value"] if self._best else None
        if best is None or (value < best if goal == "minimize" else value > best):
            self._best = {"metric": metric, "step": step, "value": value}

    def artifact(self, size: int) -> None:
        """Take in a file that was kept."""
        self._artifacts += 1
        self._artifact_bytes = min(self._artifact_bytes + size, _LARGEST)

    def last(self, name: str) -> Any:
        """The last value of a metric, or None."""
        state = self._main.get(name) or self._ranked.get(name)
        return _readable(state[_LAST]) if state else None

    def names(self) -> list[str]:
        return [*self._main, *(name for name in self._ranked if name not in self._main)]

    def document(self) -> dict[str, Any]:
        """summary.json."""
        primary = self.primary
        kept = {"artifacts": {"count": self._artifacts, "size": self._artifact_bytes}} if self._artifacts else {}
        return {
            **kept,
            "checkpoints": {"best": self._best, "count": self.checkpoints, "latest": self._latest},
            "goals": self.goals,
            "metrics": {name: self._metric(name, state) for name, state in {**self._ranked, **self._main}.items()},
            "points": self.points,
            "primary": {"goal": primary[1], "metric": primary[0]} if primary else None,
        }

    def _metric(self, name: str, state: list[Any]) -> dict[str, Any]:
        document = {
            "count": state[_COUNT],
            "last": _readable(state[_LAST]),
            "last_step": _clamped(state[_LAST_STEP]),
            "max": _readable(state[_MAX]),
            "max_step": _clamped(state[_MAX_STEP]),
            "min": _readable(state[_MIN]),
            "min_step": _clamped(state[_MIN_STEP]),
        }
        goal = self.goals.get(name)
        if goal:
            side = "min" if goal == "minimize" else "max"
            document["best"], document["best_step"] = document[side], document[side + "_step"]
        return document


def _readable(value: Any) -> Any:
    """A number beyond 64 bits as a float."""
    if type(value) is not int or -_LARGEST <= value <= _LARGEST:
        return value
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _clamped(step: int | None) -> int | None:
    return None if step is None else max(-_LARGEST, min(step, _LARGEST))
