"""The storer as seen by who needs one: started when files wait to be kept, told when no more will come.

Whoever starts one says how. Nothing of stores is imported here: this is also used in the training's process.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable
from typing import IO, Optional

from gittrack.record import waiting
from gittrack.recorder import files
from gittrack.runs import live

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds before a storer that failed is followed by another one

Begin = Callable[[int], Optional["subprocess.Popen[bytes]"]]


class Watched:
    """The storer of one run, from the process that would close the run. It ends by itself when this process does.

    `begin` starts one with that standard input; None where that is impossible.
    """

    def __init__(self, directory: str, begin: Begin) -> None:
        self.failed = False  # whether the last one could not do its work
        self._directory = directory
        self._begin = begin
        self._process: subprocess.Popen[bytes] | None = None
        self._told = False
        self._pause = FIRST_PAUSE
        self._next = 0.0
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def look(self) -> None:
        """Start one when files wait that nobody sees to. Costs a look into a folder that mostly is not there."""
        with self._lock:
            if self._is_running() or time.monotonic() < self._next or self._pid != os.getpid():
                return
            if live.parcels(self._directory) and not is_at_work(self._directory):
                self._told = False
                self._process = self._begin(subprocess.PIPE)

    def try_again(self) -> None:
        """Whatever kept the last one from its work, the next look starts another."""
        with self._lock:
            self.failed, self._next, self._pause = False, 0.0, FIRST_PAUSE

    def dismiss(self) -> None:
        """Tell it that nothing more comes: it ends when it has kept what is there."""
        with self._lock:
            if self._process is not None and self._process.stdin is not None:
                self._told = self._told or _say(self._process.stdin)

    def is_leaving(self) -> bool:
        """Whether one runs that was told to end."""
        return self._told and self.is_running()

    def is_running(self) -> bool:
        with self._lock:
            return self._is_running()

    def wait(self, seconds: float) -> None:
        """Until it has ended, or for so long."""
        process = self._process
        if process is None:
            time.sleep(seconds)
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)

    def let_go(self) -> None:
        """Wait no more: it goes on alone, and closes the run when it is done."""
        with self._lock:
            process, self._process = self._process, None
            if process is not None and process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()
                process.returncode = process.poll() or 0  # or the interpreter complains that it still runs

    def error(self) -> str:
        """Why the last one failed."""
        found = waiting.look(self._directory)
        return (found and found.error) or "the process that keeps them ended before it was done"

    def _is_running(self) -> bool:
        process = self._process
        if process is None or self._pid != os.getpid():
            return False
        code = process.poll()
        if code is None:
            return True
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        self._process = None
        self.failed = code > 0
        if code:
            self._next = time.monotonic() + self._pause * (code > 0)  # one that was killed is replaced at once
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        else:
            self._pause = FIRST_PAUSE
        return False


def is_at_work(directory: str) -> bool:
    """Whether a storer of this run lives."""
    return files.is_locked(waiting.in_parcels(directory, waiting.LOCK))


def _say(stdin: IO[bytes]) -> bool:
    with contextlib.suppress(OSError, ValueError):  # it has ended
        stdin.write(b".")
        stdin.flush()
        return True
    return False
