"""When system metrics are taken: seldom, and never in the first second, so that a trivial command pays nothing."""

import time
from typing import TYPE_CHECKING

from gittrack.lazy import lazy
from gittrack.record import environment

if TYPE_CHECKING:
    from gittrack.record.usage import Usage

FIRST, SECOND, LONGEST, GROWTH = 1.0, 10.0, 60.0, 1.25


class Sampler:
    """Takes samples of the command's processes and of the machine; `due` is when the next one is worth it."""

    def __init__(self, pid: int) -> None:
        self.due = time.monotonic() + FIRST
        self.count = 0
        self._pid = pid
        self._interval = SECOND
        self._usage: Usage | None = None
        self._gpus = environment.has_nvidia()

    def sample(self) -> dict[str, float]:
        """Series under `system/`, as of now."""
        self.count += 1
        self.due = time.monotonic() + self._interval
        self._interval = min(self._interval * GROWTH, LONGEST)
        usage: Usage = self._usage or lazy("gittrack.record.usage").Usage(self._pid)
        self._usage = usage
        values = usage.sample()
        if self._gpus:
            values.update(lazy("gittrack.record.nvidia").sample())
        return values
