"""The words of the journal, read back: lines, cuts, and the order of process files. docs/format.md §4 and §5 in code.

The writer of journals is `gittrack.recorder`, which knows nothing of this module: the format page joins them.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from gittrack.core import codec

STARTER = "run.jsonl"
CONSOLE = "console.log"
CUTS = "cuts.jsonl"
LOCK = "lock"
CLOSING = "closing"

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
        if event.get("n") == len(cuts):
            cuts.append(Cut(event["n"], event["files"], event["reason"], event.get("status"), event["w"]))
    return cuts
