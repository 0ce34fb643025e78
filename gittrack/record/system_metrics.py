"""When system metrics are taken: seldom, and never in the first second, so that a trivial command pays nothing."""

from __future__ import annotations

import time
from collections.abc import Callable

FIRST, SECOND, LONGEST, GROWTH = 1.0, 10.0, 60.0, 1.25

Read = Callable[[], dict[str, float]]


class Sampler:
    """Takes samples of the command's processes and of the machine; `due` is when the next one is worth it."""

    def __init__(self, begin: Callable[[], Read]) -> None:
        """`begin` gives what takes a sample; called for the first one, since it may have much to load."""
        self.due = time.monotonic() + FIRST
        self.count = 0
        self._begin = begin
        self._read: Read | None = None
        self._interval = SECOND

    def sample(self) -> dict[str, float]:
        """Series under `system/`, as of now."""
        self.count += 1
        self.due = time.monotonic() + self._interval
        self._interval = min(self._interval * GROWTH, LONGEST)
        self._read = self._read or self._begin()
        return self._read()
