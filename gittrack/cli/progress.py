"""A progress bar on a terminal, for what takes long; nothing in a pipe, and nothing for what is done at once."""

import contextlib
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from gittrack.cli.render import say
from gittrack.compare.text import size

if TYPE_CHECKING:
    from typing_extensions import Self

SOON = 0.5  # seconds after which the bar appears
OFTEN = 0.1
WIDTH = 24
CLEARED = "\r\033[K"  # the line is empty again


class _Line:
    """One line on standard error, drawn again and again, and gone at the end."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._shown = False
        self._next = time.monotonic() + SOON
        self._terminal = sys.stderr.isatty()

    def __enter__(self) -> "Self":
        return self

    def _draw(self, text: Callable[[], str]) -> None:
        now = time.monotonic()
        if self._terminal and now >= self._next:
            self._next = now + OFTEN
            self._shown = True
            sys.stderr.write(redrawn(f"{self._what} {text()}"))
            sys.stderr.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            sys.stderr.write(CLEARED)
            sys.stderr.flush()


class Progress(_Line):
    """`with Progress("restoring", total) as done: done(bytes)`."""

    def __init__(self, what: str, total: int) -> None:
        super().__init__(what)
        self._total = total
        self._done = 0

    def __call__(self, count: int) -> None:
        self._done += count
        self._draw(lambda: bar(self._done, self._total))


class Transfer(_Line):
    """What git says of a transfer: `with Transfer("pulling") as progress: progress("Receiving objects", 5, 20)`."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        self._draw(lambda: f"{_blocks(done, total)}  {stage.lower()}, {done:,} of {total:,}")


class Bytes(_Line):
    """Where what there is to do is known bit by bit: `with Bytes("fetching") as show: show(done, total)`."""

    def __call__(self, done: int, total: int) -> None:
        self._draw(lambda: bar(done, total))


def bar(done: int, total: int) -> str:
    """`█████░░░░░  52%  1.3 GB of 2.5 GB`."""
    return f"{_blocks(done, total)}  {size(done)} of {size(total)}"


def _blocks(done: int, total: int) -> str:
    share = min(1.0, done / total) if total else 1.0
    return f"{'█' * round(share * WIDTH):░<{WIDTH}} {share:4.0%}"


def redrawn(line: str) -> str:
    """A line in the place of the one before, as long as the terminal is wide."""
    return "\r" + line[: shutil.get_terminal_size().columns - 1] + "\033[K"


@contextlib.contextmanager
def fetching(what: str) -> Iterator[Transfer]:
    """Say what is brought because a command needs it, and how far it is."""
    say(f"fetching {what}")
    with Transfer("fetching") as progress:
        yield progress
