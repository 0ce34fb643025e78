"""A progress bar on a terminal, for what takes long; nothing in a pipe, and nothing for what is done at once."""

import shutil
import sys
import time
from types import TracebackType

from gittrack.compare.text import size

SOON = 0.5  # seconds after which the bar appears
OFTEN = 0.1
WIDTH = 24


class Progress:
    """`with Progress("restoring", total) as done: done(bytes)`."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._done = 0
        self._shown = False
        self._next = time.monotonic() + SOON
        self._terminal = sys.stderr.isatty()

    def __enter__(self) -> "Progress":
        return self

    def __call__(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if self._terminal and now >= self._next:
            self._next = now + OFTEN
            self._shown = True
            sys.stderr.write("\r" + self._line()[: shutil.get_terminal_size().columns - 1] + "\033[K")
            sys.stderr.flush()

    def _line(self) -> str:
        share = min(1.0, self._done / self._total) if self._total else 1.0
        bar = "█" * round(share * WIDTH)
        return f"{self._what} {bar:░<{WIDTH}} {share:4.0%}  {size(self._done)} of {size(self._total)}"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
