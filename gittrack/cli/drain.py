"""What a user sees who waits for a run's files: a bar on a terminal, one line in a pipe, nothing for what is quick."""

import contextlib
import sys
from typing import TYPE_CHECKING

from gittrack.cli.progress import CLEARED, SOON, bar, redrawn
from gittrack.compare.text import size
from gittrack.record.waiting import ENOUGH

if TYPE_CHECKING:
    from gittrack.record.waiting import Drain

LATE = 2.0  # seconds after which there is a line in a pipe


class Watch:
    """What was said so far while the files of one run are kept and uploaded."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._most = 0  # bytes that there were to keep, or to upload
        self._uploading = False
        self._shown = False  # whether the bar is there, or the line in a pipe
        self._answered = 0  # interrupts
        self._failed = False  # to upload; what is not kept is said by whoever waits for it

    def show(self, drain: "Drain | None") -> None:
        """One more look; None ends it."""
        if drain is None:
            self._clear()
            self._begin()  # ready for the next run of this process
            return
        if drain.uploading and not self._uploading:
            self._uploading, self._most = True, 0
        self._most = max(self._most, drain.waiting.left)
        self._answer(drain)
        if drain.interrupts < ENOUGH and not self._failed:
            self._tell(drain)

    def _answer(self, drain: "Drain") -> None:
        """Say what becomes of the files after Ctrl-C, or where the store does not take them."""
        left, error = size(drain.waiting.left), drain.waiting.error
        while self._answered < min(drain.interrupts, ENOUGH):
            self._clear()
            _say(_INTERRUPTED[drain.uploading][self._answered].format(left=left))
            self._answered += 1
        if drain.uploading and error and not self._failed:
            self._failed = True
            self._clear()
            _say(f"gittrack: {left} of files are not uploaded: {error}; {_remedy(error)}\n")

    def _tell(self, drain: "Drain") -> None:
        """How far it is."""
        what, (left, error) = "uploading" if drain.uploading else "keeping", drain.waiting
        if _is_terminal():
            if drain.seconds > SOON:
                line = f"gittrack: {what} files {bar(self._most - left, self._most)}"
                self._shown = True
                _say(redrawn(line + (f"  waiting: {error}" if error else "")))
        elif drain.seconds > LATE and not self._shown:
            self._shown = True
            _say(f"gittrack: {what} {size(left)} of files\n")

    def _clear(self) -> None:
        if self._shown and _is_terminal():
            _say(CLEARED)
        self._shown = False


def _remedy(error: str) -> str:
    """What brings the files: where a store is not ours, somebody has to decide first."""
    if "belongs to another repository" in error:
        return "give it an address of its own in `store:`, or share it by `git track store push --join`"
    return "`git track store push` does it"


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


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _say(text: str) -> None:
    """Nothing of ours is worth failing for: the terminal may be gone by now."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(text)
        sys.stderr.flush()
