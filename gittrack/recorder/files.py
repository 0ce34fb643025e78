"""Journal files: made whole, locked while their process lives, refused when the run is over.

A file appears under its name already locked and with its first line: no reader sees one that looks dead or empty.
"""

from __future__ import annotations

import os
from fcntl import F_DUPFD_CLOEXEC, LOCK_EX, LOCK_NB, LOCK_SH, fcntl, flock
from time import monotonic, time

from .encode import encode
from .process import facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HIGH = 512  # programs that close and reopen low descriptors must not find ours under their number
_TAIL = 65536  # `end` and the final cut are the last lines of their files


class RunOver(Exception):
    """The run has ended, or its folder is gone."""


class File:
    """An open journal file: descriptor, name, and the monotonic time of its first line."""

    __slots__ = ("fd", "name", "zero")

    def __init__(self, fd: int, name: str, zero: float) -> None:
        self.fd = fd
        self.name = name
        self.zero = zero


def create(run_dir: str, given: str | None = None) -> File:
    """Make this process's file: `given`, or a name of its own. Raises OSError, or RunOver when there is no such run."""
    moment = time()
    name = given or f"{int(moment * 1000):013d}-{os.getpid()}-{os.urandom(2).hex()}.jsonl"
    path = os.path.join(run_dir, name)
    try:
        fd = _high(os.open(path + ".new", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
    except FileNotFoundError:
        raise RunOver(f"the folder of this run is gone: {run_dir}") from None
    try:
        _lock(fd)
        line = _first_line(moment)
        if os.write(fd, line) != len(line):
            raise OSError(28, "No space left on device")
        os.rename(path + ".new", path)
    except BaseException:
        close(fd)
        _unlink(path + ".new")
        raise
    file = File(fd, name, monotonic())
    # Locked first, then looked: whoever makes the final cut says so first, then looks for locks.
    if given is None and is_over(run_dir):
        discard(run_dir, file)
        raise RunOver("this run is over; what is logged now is not recorded")
    return file


def reopen(run_dir: str, file: File) -> File:
    """The same file again, after something closed its descriptor. Raises OSError."""
    fd = _high(os.open(os.path.join(run_dir, file.name), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC))
    _lock(fd)
    return File(fd, file.name, file.zero)


def discard(run_dir: str, file: File) -> None:
    """Take back a file that was just made."""
    close(file.fd)
    _unlink(os.path.join(run_dir, file.name))


def close(fd: int) -> None:
    """Close a descriptor that somebody else may have closed before."""
    try:
        os.close(fd)
    except OSError:
        pass


def is_over(run_dir: str) -> bool:
    """Whether the run has its last cut, or is about to get it."""
    if os.path.exists(os.path.join(run_dir, "closing")):
        return True
    return any('"reason":"final"' in line for line in _last_lines(os.path.join(run_dir, "cuts.jsonl")))


def has_ended(run_dir: str) -> bool:
    """Whether the process that started the run has said how it ended."""
    return any('{"e":"end",' in line for line in _last_lines(os.path.join(run_dir, "run.jsonl")))


def is_alive(run_dir: str) -> bool:
    """Whether any process of the run holds the lock on its file."""
    try:
        names = [name for name in os.listdir(run_dir) if name.endswith(".jsonl") and name != "cuts.jsonl"]
    except OSError:
        return False
    return any(is_locked(os.path.join(run_dir, name)) for name in sorted(names, key="run.jsonl".__ne__))


def is_locked(path: str) -> bool:
    """Whether a process holds the lock on this file; where it cannot be known, too. Two that look do not see each
    other."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:  # another user's
        return True
    try:
        flock(fd, LOCK_SH | LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return True
    finally:
        os.close(fd)
    return False


def _last_lines(path: str) -> list[str]:
    """The last lines of a file, which may be of any length; none when it is not there."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            data = file.read()
    except OSError:
        return []
    return data[: data.rfind(b"\n") + 1].decode(errors="replace").splitlines()


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:  # gone with its folder
        pass


def _first_line(moment: float) -> bytes:
    fields: dict[str, Any] = {"e": "process", **facts(), "t": 0, "w": round(moment, 6)}
    return (encode(fields) + "\n").encode()


def _lock(fd: int) -> None:
    try:
        flock(fd, LOCK_EX | LOCK_NB)
    except OSError:  # a file system without locks: such a run is never declared dead from elsewhere
        pass


def _high(fd: int) -> int:
    for lowest in (_HIGH, 100):
        try:
            high = fcntl(fd, F_DUPFD_CLOEXEC, lowest)
        except OSError:  # the limit of open files is lower
            continue
        os.close(fd)
        return high
    return fd
