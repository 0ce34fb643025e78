"""Keeping the parcels of one run, whoever does it and wherever the files go: one process at a time, killed anywhere,
followed by another one that does again what is still there. docs/format.md §4.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gittrack import errors
from gittrack.core import codec, parcels
from gittrack.record import keeping, telling, waiting
from gittrack.record.pump import wait
from gittrack.recorder import files
from gittrack.runs import live, locking

LOOK_EVERY = 0.2
IDLE = 30.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
MARK, PATIENCE = 0.05, 20
DONE = ".done"
FAILURES = (errors.GittrackError, OSError)


class Storing:
    """Keeps what waits in one run. Only one process at a time can have it open."""

    def __init__(
        self, directory: str, lock: int, content: Any, policy: keeping.Policy, kept_large: Callable[[], None]
    ) -> None:
        """`kept_large` is called before it is said that files are in the store."""
        self.progress = waiting.Publisher(directory)
        self.directory = directory
        self._lock = lock
        self._kept_large = kept_large
        self._keeping = keeping.Keeping(directory, content, policy, self.progress.done)
        self._file: files.File | None = None
        self._torn = False
        self._said: dict[str, set[str]] | None = None  # of parcels that waited when we began: paths that are told of
        self._whole: set[str] = set()  # of those, the ones that only their folder is left of
        self._warned = False
        self._sweep()

    def leave(self) -> None:
        """Let the run be closed."""
        if self._file is not None:
            files.close(self._file.fd)
            self._file = None

    def close(self) -> None:
        """Let others keep its files."""
        self.leave()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def keep_all(self) -> bool:
        """Keep what waits; whether there was anything. Raises GittrackError, OSError, files.RunOver."""
        names = live.parcels(self.directory)
        for name in names:
            self._keep(name)
        return bool(names)

    def complain(self, error: Exception) -> None:
        """Tell of what keeps us from going on: at once to who watches, once to the record."""
        text = waiting.reason(error)
        self.progress.failed(text)
        if not self._warned and self._file is not None:
            with contextlib.suppress(OSError):  # the disk is full: said the next time
                self._write([{"e": "warning", "text": f"files wait to be kept: {text}"}])
                self._warned = True

    def _keep(self, name: str) -> None:
        if self._file is None:
            self._file = files.create(self.directory)
        if self._said is None:
            self._said, self._whole = telling.told(self.directory, set(live.parcels(self.directory)))
        if name not in self._whole:
            self.progress.begin(name)
            told = self._said.get(name, set())
            outcome = self._keeping.keep(name)
            if any(kept.where == parcels.STORE for kept in outcome.kept):
                self._kept_large()
            self._write(telling.lines(name, outcome, told))
        self.progress.failed(None)
        self._warned = False
        _remove(live.parcel(self.directory, name))

    def _sweep(self) -> None:
        """Remove what a storer that was killed had kept already."""
        folder = waiting.in_parcels(self.directory, "")
        for name in os.listdir(folder):
            if name.endswith(DONE):
                shutil.rmtree(os.path.join(folder, name), ignore_errors=True)

    def _write(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """One write of whole lines, flushed. Where the disk is full in the middle of it, what came through counts."""
        assert self._file is not None
        at = {"t": round(time.monotonic() - self._file.zero, 6), "w": round(time.time(), 6)}
        data = b"\n" * self._torn + b"".join(codec.dumps({**line, **at}) for line in lines)
        written = os.write(self._file.fd, data)
        self._torn = written < len(data) and data[written - 1 : written] != b"\n"
        if written < len(data):
            self._said = None
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._file.name)
        os.fsync(self._file.fd)


def take_lock(directory: str) -> int | None:
    """The descriptor that lets one process keep this run's files; None when another has it, or there are none.

    Raises OSError."""
    try:
        return locking.take(waiting.in_parcels(directory, waiting.LOCK))
    except FileNotFoundError:
        return None


def serve(storer: Storing, line: int) -> bool:
    """Keep what comes until nothing more does: when `line` can be read from. False when something could not be kept."""
    told, pause, since, turned_away = False, FIRST_PAUSE, time.monotonic(), 0
    while True:
        try:
            worked = storer.keep_all()
        except files.RunOver:
            turned_away += 1
            if turned_away > PATIENCE or not live.parcels(storer.directory):
                return False
            time.sleep(MARK)  # somebody looks whether the run can be closed, and will see that it cannot
            continue
        except FAILURES as error:
            storer.complain(error)
            if told:  # who waits shall know, and not wait for somebody to make room
                return False
            told = bool(wait([line], int(pause * 1000)))
            pause = min(2 * pause, LONGEST_PAUSE)
            continue
        pause = FIRST_PAUSE
        now = time.monotonic()
        since = now if worked else since
        if not worked and (told or now - since > IDLE):
            return True
        told = told or bool(wait([line], 0 if worked else int(LOOK_EVERY * 1000)))


def _remove(folder: str) -> None:
    """In one step for who looks, then piece by piece."""
    aside = folder + DONE
    shutil.rmtree(aside, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        os.rename(folder, aside)
    shutil.rmtree(aside, ignore_errors=True)
