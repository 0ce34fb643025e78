"""What a user sees who waits for a run's files: a bar on a terminal, one line in a pipe, nothing for what is quick."""

import contextlib
import shutil
import sys
from typing import TYPE_CHECKING

from gittrack.compare.text import size

if TYPE_CHECKING:
    from gittrack.record.waiting import Drain

SOON = 0.5  # seconds after which the bar appears
LATE = 2.0  # and the line in a pipe
WIDTH = 24


class Watch:
    """What was said so far in one drain."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._most = 0  # bytes that there were to keep
        self._bar = False
        self._told = 0
        self._failed = False
        self._phase = False

    def show(self, drain: "Drain | None") -> None:
        """One more look; None ends it."""
        if drain is None:
            self._clear()
            self._begin()  # ready for the next run of this process
            return
        left, error = drain.waiting
        if drain.uploading and not self._phase:
            self._phase, self._most = True, 0
        self._most = max(self._most, left)
        terminal = sys.stderr is not None and sys.stderr.isatty()
        while self._told < drain.interrupts and self._told < 2:
            self._told += 1
            self._clear()
            _say(_INTERRUPTED[drain.uploading][self._told - 1].format(left=size(left)))
        if drain.uploading and error and not self._failed:
            self._failed = True
            self._clear()
            _say(f"gittrack: {size(left)} of files are not uploaded: {error}; `git track store push` does it\n")
        if drain.interrupts >= 2 or self._failed:
            return
        what = "uploading" if drain.uploading else "keeping"
        if terminal and drain.seconds > SOON:
            self._draw(what, self._most - left, self._most, error)
        elif not terminal and not self._bar and drain.seconds > LATE:
            self._bar = True
            _say(f"gittrack: {what} {size(left)} of files\n")

    def _draw(self, what: str, done: int, total: int, error: str | None) -> None:
        share = min(1.0, done / total) if total else 1.0
        bar = f"{'█' * round(share * WIDTH):░<{WIDTH}} {share:4.0%}"
        line = f"gittrack: {what} files {bar}  {size(done)} of {size(total)}"
        line += f"  waiting: {error}" if error else ""
        self._bar = True
        _say("\r" + line[: shutil.get_terminal_size().columns - 1] + "\033[K")

    def _clear(self) -> None:
        if self._bar and sys.stderr is not None and sys.stderr.isatty():
            _say("\r\033[K")
        self._bar = False


_INTERRUPTED = {
    False: (
        "gittrack: the command has ended; its files are being kept, {left} to go. "
        "Ctrl-C again leaves that to the background\n",
        "gittrack: {left} of files are not kept yet; that goes on in the background, and nothing is lost. "
        "`git track recover` shows how far it is, and finishes it\n",
    ),
    True: (
        "gittrack: the run is recorded; its files are being uploaded, {left} to go. "
        "Ctrl-C again leaves that to the background\n",
        "gittrack: {left} of files are not uploaded yet; that goes on in the background. "
        "`git track store status` shows how far it is, `git track store push` finishes it\n",
    ),
}
_watch = Watch()
show = _watch.show


def _say(text: str) -> None:
    """Nothing of ours is worth failing for: the terminal may be gone by now."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(text)
        sys.stderr.flush()
