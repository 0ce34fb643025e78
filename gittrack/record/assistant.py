"""The process that folds a long run of `gittrack.init()` while it goes on, so that training never waits for git.

It is started when the run is a minute old. It reads its standard input: a line says that the run has ended, the end of
the stream that the training is gone, whatever became of it. Then it makes the final cut.
"""

import contextlib
import itertools
import os
import subprocess
import sys
import threading
import time

from gittrack import errors
from gittrack.config import environment
from gittrack.core import events
from gittrack.git import maintenance
from gittrack.git.discover import Paths
from gittrack.git.open import open_repository
from gittrack.lazy import lazy
from gittrack.record import processes
from gittrack.record.pump import wait
from gittrack.record.storer import Storer
from gittrack.runs import folding

DELAY = 60.0
LOOK_EVERY = 1.0
PATIENCE = 60.0  # seconds for the last fold, before a program that wants to end leaves it to the helper


class Assistant:
    """Belongs to one run in the training's process."""

    def __init__(self, paths: Paths, directory: str) -> None:
        self.due: float | None = time.monotonic() + DELAY
        self._paths = paths
        self._directory = directory
        self._pid = os.getpid()
        self._process: subprocess.Popen[bytes] | None = None
        self.storer = Storer(paths, directory)
        self._over = False
        self._lock = threading.Lock()
        _watch(self)

    def finish(self, waiting: bool = True) -> bool:
        """Have the helper close the run. False when there is none: then the caller does."""
        with self._lock:
            self.due, self._over = None, True
            process = self._process
        if process is None or self._pid != os.getpid():
            return False
        if not waiting and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.write(b"ended\n")
                process.stdin.close()
            return True
        with contextlib.suppress(subprocess.TimeoutExpired, OSError):
            process.communicate(b"ended\n", PATIENCE)  # it closes its output when it has tried
        return process.poll() in (None, 0)

    def begin(self) -> None:
        """Start the helper, unless the run has ended meanwhile."""
        with self._lock:
            if self.due is not None:
                self.due = None
                self._process = start(self._paths, self._directory)

    def look(self) -> float:
        """Do what is due; seconds until something may be due again."""
        if self.due is not None and time.monotonic() >= self.due:
            self.begin()
        if self._over or self._process is not None:  # which sees to the files
            return DELAY
        self.storer.look()
        return LOOK_EVERY if self.due is None else min(LOOK_EVERY, max(self.due - time.monotonic(), 0.01))


_newest: Assistant | None = None
_newer = threading.Event()  # there is another newest
_watching = 0  # the process that has the thread; a forked one has none, and no run of its own


def _watch(assistant: Assistant) -> None:
    """Have one thread, for all runs of this process, begin the assistant when it is due."""
    global _newest, _watching
    _newest = assistant
    _newer.set()
    if _watching != os.getpid():
        _watching = os.getpid()
        threading.Thread(target=_wake, name="gittrack-assistant", daemon=True).start()


def _wake() -> None:
    while True:
        _newer.clear()
        assistant = _newest
        _newer.wait(assistant.look() if assistant is not None else DELAY)


def start(paths: Paths, directory: str) -> "subprocess.Popen[bytes] | None":
    """Start the helper process; None where that is impossible."""
    return processes.start("assistant", [directory], paths, subprocess.PIPE, subprocess.PIPE)


def main() -> None:
    """The helper process."""
    (directory,), paths = processes.given()
    repo = open_repository(paths, environment.current())
    folder = folding.Folder.open(repo, directory)
    if folder is None:
        sys.exit(1)
    told = False
    storer = Storer(folder.repo.paths, directory)
    for looks in itertools.count(1):
        if told:
            break
        with contextlib.suppress(errors.GittrackError):  # a full disk: tried again
            storer.look()
            folder.advance(time.time())
            if looks % folding.TIDY_EVERY == 0:
                maintenance.tidy(repo.git)
        told = bool(wait([0], int(LOOK_EVERY * 1000)))
    mine = (events.STARTER,) if os.read(0, 100) else ()  # its children may hold the lock of a program that has ended
    closed = _close(folder, storer, mine)
    os.close(1)
    while not closed:
        time.sleep(LOOK_EVERY)
        closed = _close(folder, storer, mine)
    with contextlib.suppress(errors.GittrackError, OSError):
        lazy("gittrack.record.archiver").begin(repo)
        lazy("gittrack.record.pusher").begin(repo)


def _close(folder: folding.Folder, storer: Storer, mine: tuple[str, ...]) -> bool:
    """Close the run, if nobody is there any more and all its files are kept."""
    folder.admit()
    storer.look()
    storer.dismiss()
    if storer.is_running():
        storer.wait(LOOK_EVERY)
    return folder.finish(time.time(), "crashed", mine)
