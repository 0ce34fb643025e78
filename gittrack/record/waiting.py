"""How far the files of a run are kept: said by its storer in one small file, read by whoever waits for it."""

import contextlib
import json
import os
import time
from collections.abc import Callable
from typing import NamedTuple

from gittrack.core import parcels
from gittrack.runs import live

FILE, LOCK = "progress", "lock"  # in the folder of parcels
EVERY = 0.1
_LENGTH = 512  # always so long: it is written over itself


class Waiting(NamedTuple):
    """Bytes kept of bytes handed over, since the storer began. `error`: why it cannot go on now."""

    done: int
    total: int
    error: str | None


class Drain(NamedTuple):
    """A command or program has ended, and files of it are still being kept."""

    waiting: Waiting
    seconds: float  # since when
    interrupts: int  # Ctrl-C since then; at the second nobody waits any more


Show = Callable[[Drain | None], None]  # None: it is over


class Publisher:
    """The storer's side."""

    def __init__(self, directory: str) -> None:
        self.state = Waiting(0, 0, None)
        self._path = in_parcels(directory, FILE)
        self._next = 0.0
        self._write()

    def expect(self, size: int) -> None:
        """So much more was handed over."""
        self.state = self.state._replace(total=self.state.total + size)
        self._write()

    def done(self, size: int) -> None:
        self.state = self.state._replace(done=self.state.done + size)
        if time.monotonic() >= self._next:
            self._write()

    def failed(self, error: str | None) -> None:
        self.state = self.state._replace(error=error)
        self._write()

    def _write(self) -> None:
        self._next = time.monotonic() + EVERY
        text = json.dumps({**self.state._asdict(), "error": (self.state.error or "")[:300]})
        with contextlib.suppress(OSError):  # a full disk, a removed folder: nobody but those who watch would miss it
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                os.pwrite(descriptor, text.encode()[: _LENGTH - 1].ljust(_LENGTH - 1) + b"\n", 0)
            finally:
                os.close(descriptor)


def look(directory: str) -> Waiting | None:
    """How far it is; None when nothing waits."""
    names = live.parcels(directory)
    if not names:
        return None
    with contextlib.suppress(OSError, ValueError, TypeError), open(in_parcels(directory, FILE), "rb") as file:
        found = Waiting(**json.loads(file.read()))
        if found.total:
            return found._replace(error=found.error or None)
    return Waiting(0, sum(_size(live.parcel(directory, name)) for name in names), None)


def in_parcels(directory: str, name: str) -> str:
    return os.path.join(directory, parcels.PARCELS, name)


def _size(folder: str) -> int:
    size = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # kept and removed by now
                size += os.lstat(os.path.join(root, name)).st_size
    return size
