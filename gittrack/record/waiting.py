"""How far the files of a run are kept: said by its storer in one small file, read by whoever waits for it."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Optional

from gittrack.core import parcels
from gittrack.runs import live

FILE, LOCK = "progress", "lock"  # in the folder of parcels
EVERY = 0.1
ENOUGH = 2  # interrupts: then nobody waits any more
_LONGEST = 300  # characters of an error
_LENGTH = 2500  # always so long: it is written over itself


class Waiting(NamedTuple):
    """Bytes that are not kept yet. `error`: why it cannot go on now."""

    left: int
    error: str | None


class Drain(NamedTuple):
    """A command or program has ended, and files of it are still being kept."""

    waiting: Waiting
    seconds: float  # since when
    interrupts: int  # Ctrl-C since then
    uploading: bool = False  # all is kept here, and goes to a store now


Show = Callable[[Optional[Drain]], None]  # None: it is over


class Publisher:
    """The storer's side: how much of which parcel is done."""

    def __init__(self, directory: str) -> None:
        self._path = in_parcels(directory, FILE)
        self._parcel = ""
        self._done = 0
        self._error: str | None = None
        self._next = 0.0

    def begin(self, parcel: str) -> None:
        self._parcel, self._done = parcel, 0
        self._write()

    def done(self, size: int) -> None:
        self._done += size
        if time.monotonic() >= self._next:
            self._write()

    def failed(self, error: str | None) -> None:
        if error != self._error:
            self._error = error
            self._write()

    def _write(self) -> None:
        self._next = time.monotonic() + EVERY
        said = {"done": self._done, "parcel": self._parcel}
        with contextlib.suppress(OSError):  # a removed folder: nobody but those who watch would miss it
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                say(descriptor, self._error, said)
            finally:
                os.close(descriptor)


def say(descriptor: int, error: str | None, said: Mapping[str, Any]) -> None:
    """Write over what such a file said before."""
    with contextlib.suppress(OSError):  # a full disk: nobody but those who watch would miss it
        os.pwrite(descriptor, json.dumps({**said, "error": (error or "")[:_LONGEST]}).encode().ljust(_LENGTH), 0)


_sizes: dict[str, int] = {}  # of the parcels that were looked at: whole ones do not change


def look(directory: str) -> Waiting | None:
    """What waits; None when nothing does."""
    paths = {name: live.parcel(directory, name) for name in live.parcels(directory)}
    for gone in _sizes.keys() - paths.values():
        del _sizes[gone]
    if not paths:
        return None
    for path in paths.values():
        if path not in _sizes:
            _sizes[path] = size_of(path)
    left = sum(_sizes[path] for path in paths.values())
    parcel, done, error = _said(directory)
    if parcel in paths:
        left -= min(done, _sizes[paths[parcel]])
    return Waiting(left, error)


def _said(directory: str) -> tuple[str, int, str | None]:
    try:
        with open(in_parcels(directory, FILE), "rb") as file:
            found = json.loads(file.read())
        return found["parcel"], found["done"], found["error"] or None
    except (OSError, ValueError, TypeError, KeyError):  # not there yet, or being written
        return "", 0, None


def reason(error: Exception) -> str:
    """Why something could not be kept, without the path and number that OSError puts around it."""
    return str(getattr(error, "message", None) or getattr(error, "strerror", None) or error)


def in_parcels(directory: str, name: str) -> str:
    return os.path.join(directory, parcels.PARCELS, name)


def size_of(folder: str) -> int:
    """Bytes in a folder."""
    size = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # kept and removed by now
                size += os.lstat(os.path.join(root, name)).st_size
    return size
