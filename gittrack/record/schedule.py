"""What is done again and again while a command runs, here and in containers, and when the next of it is due."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gittrack.record.system_metrics import Sampler

FIRST_LOOK = 0.15  # seconds: a command that is over by then is committed once, not twice
LOOK_EVERY = 1.0
FILES_EVERY = 10.0

Act = Callable[[], object]


class Schedule:
    """`looks`: after the journal and the files of the run. `read`: what the command writes into files of its own.
    `tell`: who hears of the samples that `sampler` takes while it is there. Each is done under `guard`."""

    def __init__(
        self,
        guard: Callable[[Act], None],
        looks: Sequence[Act],
        read: Act,
        tell: Callable[[Mapping[str, Any], int], Any],
    ) -> None:
        self.sampler: Sampler | None = None
        self._guard = guard
        self._looks = looks
        self._read = read
        self._tell = tell
        self._next_look = time.monotonic() + FIRST_LOOK
        self._next_files = time.monotonic() + FILES_EVERY

    def turn(self) -> float:
        """Do what is due; seconds until something is due again."""
        now = time.monotonic()
        if now >= self._next_look:
            for look in self._looks:
                self._guard(look)
            self._next_look = time.monotonic() + LOOK_EVERY
        if now >= self._next_files:
            self._guard(self._read)
            self._next_files = time.monotonic() + FILES_EVERY
        if self.sampler is not None and now >= self.sampler.due:
            self._guard(self._sample)
        due = min(self._next_look, self._next_files, *([self.sampler.due] if self.sampler else []))
        return max(0.0, due - time.monotonic())

    def _sample(self) -> None:
        if self.sampler is not None:
            number = self.sampler.count
            if values := self.sampler.sample():
                self._tell(values, number)
