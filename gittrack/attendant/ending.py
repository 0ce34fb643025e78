"""How the command of a job ended, as the record says it."""

from __future__ import annotations

from typing import Any, NamedTuple

from gittrack.attendant import usage
from gittrack.record.command import End
from gittrack.record.signals import name_of

STOPPED = "it was stopped"
LEFT = "the command left processes in the background"
WAITED_FOR = f"{LEFT}, which keep its run open: "
ENDED = f"{LEFT}, which end with its container: "


class Ended(NamedTuple):
    """The end event: `at` is (seconds since the journal's first line, seconds since the epoch)."""

    code: int | None
    signal: str | None
    status: str
    reason: str | None
    at: tuple[float, float]

    def fields(self) -> dict[str, Any]:
        return {"code": self.code, "reason": self.reason, "signal": self.signal, "status": self.status}


def of(end: End, stopped: bool, killed_for_memory: bool, at: tuple[float, float]) -> Ended:
    """What is to be said of `end`. A run that was stopped was killed, however well its command took it."""
    signal = name_of(end.signal) if end.signal is not None else None
    if killed_for_memory and end.status != "completed":
        return Ended(end.code, signal, end.status, _memory(), at)
    if stopped:
        return Ended(end.code, signal, "killed", STOPPED, at)
    return Ended(end.code, signal, end.status, None, at)


def _memory() -> str:
    limit = usage.memory_limit()
    return "out of memory" + (f": the container may have {limit / 1e9:.3g} GB" if limit else "")
