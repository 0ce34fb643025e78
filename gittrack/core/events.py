"""The words of the journal, read back: lines, cuts, and the order of process files. docs/format.md §4 and §5 in code.

The writer of journals is `gittrack.recorder`, which knows nothing of this module: the format page joins them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from gittrack.core import codec, parcels, shape

STARTER = "run.jsonl"
CONSOLE = "console.log"
CUTS = "cuts.jsonl"
LOCK = "lock"
CLOSING = "closing"

_LATEST = 1e11  # seconds: what is said to be later cannot be written as a date
_STATES = ("completed", "failed", "killed", "crashed")
_ENVIRONMENT_FILE = re.compile(r"[A-Za-z0-9][\w.-]{0,99}\Z", re.ASCII)  # a name in a tree, on any system
_PROCESS_FILE = re.compile(r"\d{13}-\d+-[0-9a-f]{4}\.jsonl\Z")


class Cut(NamedTuple):
    """Commit `number` of a run covers each file of `files` up to that many bytes."""

    number: int
    files: Mapping[str, int]
    reason: str  # start | checkpoint | time | final
    status: str | None  # overrides the run's state where no `end` event says it
    w: float


class Metrics(NamedTuple):
    """A metric line, decoded."""

    values: Mapping[str, float]
    step: int
    t: float
    w: float
    rank: int


def is_process_file(name: str) -> bool:
    return name == STARTER or _PROCESS_FILE.match(name) is not None


def in_order(names: Iterable[str]) -> list[str]:
    """The journals among `names` in the order of the format: the starter's, then the others by start."""
    return sorted(filter(is_process_file, names), key=lambda name: (name != STARTER, name))


def whole_lines(data: bytes) -> bytes:
    """`data` without a torn last line."""
    return data[: data.rfind(b"\n") + 1]


def parse_line(line: bytes) -> dict[str, Any] | None:
    """The object of one line, or None when the line is no JSON object (a write that was cut short)."""
    try:
        value = codec.loads(line)
    except (ValueError, KeyError, TypeError):  # UnicodeDecodeError is a ValueError
        return None
    return value if isinstance(value, dict) else None


def parse_lines(data: bytes) -> Iterator[dict[str, Any]]:
    """The objects of all whole lines of `data`; damaged lines are passed over."""
    for line in whole_lines(data).splitlines():
        value = parse_line(line)
        if value is not None:
            yield value


def is_sound(event: Mapping[str, Any]) -> bool:
    """Whether `event`, no metric line, has what its kind must have. Any process of the run can write into a journal,
    and what one has written wrongly must not keep the run from being closed. Unknown kinds are sound."""
    check = _CHECKS.get(str(event.get("e")))
    return is_time(event.get("w", 0)) and is_time(event.get("t", 0)) and (check is None or check(event))


def is_time(value: Any) -> bool:
    """Whether `value` is a number of seconds that a date can be made of."""
    return type(value) in (int, float) and 0 <= value < _LATEST


def environment_file(event: Mapping[str, Any]) -> str:
    """The name of the file in `environment/` that an event gives."""
    return str(event["name"]).replace("/", "_")


def _is_start(event: Mapping[str, Any]) -> bool:
    facts, goals = event.get("run"), {"goals": event.get("goals")}
    return isinstance(facts, dict) and not shape.problem("run.json", facts) and not shape.problem("summary.json", goals)


def _is_checkpoint(event: Mapping[str, Any]) -> bool:
    said = {"latest": {"metrics": event.get("m"), "step": event.get("s")}}
    primary = event.get("primary")
    if primary is not None and not (isinstance(primary, list) and len(primary) == 2):
        return False
    chosen = {"metric": primary[0], "goal": primary[1]} if primary else None
    return not shape.problem("summary.json", {"checkpoints": said, "primary": chosen})


def _is_description(event: Mapping[str, Any]) -> bool:
    said = {name: event.get(name) for name in ("name", "experiment", "tags", "continues")}
    return not shape.problem("run.json", said)


def _is_environment(event: Mapping[str, Any]) -> bool:
    named = isinstance(event.get("name"), str) and _ENVIRONMENT_FILE.match(environment_file(event))
    return bool(named) and "value" in event


def _is_params(event: Mapping[str, Any]) -> bool:
    return isinstance(event.get("values"), dict) and isinstance(event.get("source", ""), str)


def _is_end(event: Mapping[str, Any]) -> bool:
    said = {**event, "exit_code": event.get("code")}
    return event.get("status") in _STATES and "t" in event and not shape.problem("status.json", said)


_CHECKS: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "start": _is_start,
    "params": _is_params,
    "checkpoint": _is_checkpoint,
    "artifact": parcels.is_artifact,
    "kept": parcels.is_kept,
    "parcel": parcels.is_parcel,
    "environment": _is_environment,
    "describe": _is_description,
    "warning": lambda event: isinstance(event.get("text"), str),
    "end": _is_end,
}


def metrics_of(event: Mapping[str, Any]) -> Metrics | None:
    """The metric line that `event` is, or None when it is another kind."""
    if "e" in event or "m" not in event:
        return None
    return Metrics(event["m"], event["s"], event.get("t", 0.0), event.get("w", 0.0), event.get("r", 0))


def cut_line(cut: Cut) -> bytes:
    """The line of cuts.jsonl that says `cut`."""
    return codec.dumps(
        {"files": dict(cut.files), "n": cut.number, "reason": cut.reason, "status": cut.status, "w": cut.w}
    )


def parse_cuts(data: bytes) -> list[Cut]:
    """The cuts of a cuts.jsonl, as far as they are numbered without a gap from 0."""
    cuts: list[Cut] = []
    for event in parse_lines(data):
        if (cut := cut_of(event, len(cuts))) is not None:
            cuts.append(cut)
    return cuts


def cut_of(event: Mapping[str, Any], number: int) -> Cut | None:
    """The cut `number`, where `event` is that one."""
    if event.get("n") != number or not _is_cut(event):
        return None
    return Cut(event["n"], event["files"], event["reason"], event.get("status"), event["w"])


def _is_cut(event: Mapping[str, Any]) -> bool:
    files = event.get("files")
    ends = isinstance(files, dict) and all(type(end) is int and end >= 0 for end in files.values())
    texts = isinstance(event.get("reason"), str) and isinstance(event.get("status", ""), (str, type(None)))
    return ends and texts and is_time(event.get("w"))
