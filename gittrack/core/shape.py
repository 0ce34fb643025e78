"""Whether the documents of a record have the shape that docs/format.md §3 promises.

Checked once, where a record is read, so that nobody above asks again. A record may come from somebody else's repository
or have been edited by hand: a wrong type must cost that one run its row and no more, and what is handed to git as the
name of an object must be one. Only what is read is checked; fields of a later version pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_TEXT = frozenset({str, bytes, type(None)})  # bytes: what was no UTF-8 in a path, an argument or a variable
_NUMBER = frozenset({int, float, bool, type(None)})
_VALUES = ("last", "best", "min", "max")  # of a metric
_STEPS = ("count", "last_step", "best_step", "min_step", "max_step")
_HIGHEST = 10**300  # of an int that is still to be compared with floats
_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")

Check = Callable[[Any], bool]


def _text(value: Any) -> bool:
    return type(value) in _TEXT


def _name(value: Any) -> bool:
    return value is None or type(value) is str


def _oid(value: Any) -> bool:
    return value is None or (type(value) is str and _OID.match(value) is not None)


def _number(value: Any) -> bool:
    return type(value) in _NUMBER and (type(value) is not int or abs(value) < _HIGHEST)


def _count(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value < 2**63)


def _step(value: Any) -> bool:
    return value is None or (type(value) is int and abs(value) < 2**63)


def _seconds(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and abs(value) < 1e15)


def _list_of(check: Check) -> Check:
    return lambda value: value is None or (type(value) is list and all(map(check, value)))


def _object(**checks: Check) -> Check:
    """An object whose fields, as far as they are there, hold to `checks`; or null."""
    pairs = tuple(checks.items())

    def check_all(value: Any) -> bool:
        return value is None or (type(value) is dict and all(check(value.get(name)) for name, check in pairs))

    return check_all


def _values(value: Any) -> bool:
    """Metrics at one moment."""
    return value is None or (type(value) is dict and all(map(_number, value.values())))


def _goals(value: Any) -> bool:
    return value is None or (type(value) is dict and all(map(_goal, value.values())))


def _goal(value: Any) -> bool:
    return value in ("minimize", "maximize")


def _primary(value: Any) -> bool:
    return value is None or (type(value) is dict and type(value.get("metric")) is str and _goal(value.get("goal")))


def _metrics(value: Any) -> bool:
    return value is None or (type(value) is dict and all(map(_metric, value.values())))


def _metric(state: Any) -> bool:
    """Plain loops: of a hundred thousand runs, half a million of these are looked at."""
    if type(state) is not dict:
        return False
    for name in _VALUES:
        value = state.get(name)
        if type(value) is not float and not _number(value):
            return False
    for name in _STEPS:
        value = state.get(name)
        if not (type(value) is int and -(2**63) < value < 2**63) and value is not None:
            return False
    return True


def _param(value: Any) -> bool:
    return type(value) is dict and "value" in value and type(value.get("source")) in _TEXT


_DOCUMENTS: Mapping[str, Mapping[str, Check]] = {
    "run.json": {
        **dict.fromkeys(("command", "cwd", "host", "state", "branch", "experiment", "name", "note"), _text),
        **dict.fromkeys(("base", "snapshot"), _oid),
        **dict.fromkeys(("created", "parent"), _name),
        "user": _object(name=_text, email=_text),
        "tags": _list_of(_text),
        "left_out": _list_of(_object(path=_text, size=_number, reason=_text)),
        "continues": _object(run=_name, step=_step),
        "origin": _object(run=_name, step=_step, how=_name),
    },
    "status.json": {
        "status": lambda value: type(value) is str,
        **dict.fromkeys(("started", "ended", "heartbeat"), _name),
        **dict.fromkeys(("signal", "reason"), _text),
        "duration": _seconds,
        "exit_code": _step,
        "warnings": _list_of(_text),
    },
    "summary.json": {
        "points": _count,
        "goals": _goals,
        "metrics": _metrics,
        "primary": _primary,
        "artifacts": _object(count=_count, size=_count),
        "checkpoints": _object(
            count=_count,
            latest=_object(metrics=_values, step=_step),
            best=_object(metric=_name, step=_step, value=_number),
        ),
    },
}


def problem(path: str, document: Mapping[str, Any]) -> str | None:
    """What is wrong with the document `path` of a record, or None."""
    if path == "params.json":
        wrong = [] if all(map(_param, document.values())) else [name for name in document if not _param(document[name])]
    else:
        wrong = [name for name, check in _DOCUMENTS[path].items() if not check(document.get(name))]
    return f"{wrong[0][:40]!a} is not what the format says" if wrong else None
