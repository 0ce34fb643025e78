"""A folder in `<common dir>/track/tmp` for as long as a block runs, removed also when its process was killed.

Beside each folder lies a file that its process holds an flock on, and that processes which it starts may hold as well.
Whoever needs a folder next removes those whose lock is free: no list, no clock, nothing of somebody who still lives.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from typing import NamedTuple

from gittrack.git import loose

_LOCK = ".held"


class Scratch(NamedTuple):
    path: str
    lock: int  # an open file: a child that inherits it keeps the folder for as long as it lives


@contextlib.contextmanager
def scratch(common: str, purpose: str) -> Iterator[Scratch]:
    """An empty folder. Raises CannotWrite."""
    folder = os.path.join(common, "track", "tmp")
    try:
        os.makedirs(folder, exist_ok=True)
        _sweep(folder)
        path = os.path.join(folder, f"{purpose}-{os.getpid()}-{os.urandom(4).hex()}")
        lock = _locked(path + _LOCK)
        try:
            os.mkdir(path)
        except OSError:
            _close(path, lock)
            raise
    except OSError as error:
        raise loose.cannot_write(error, folder) from error
    try:
        yield Scratch(path, lock)
    finally:
        _close(path, lock)


def _close(path: str, lock: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        os.unlink(path + _LOCK)
    os.close(lock)


def _locked(path: str) -> int:
    """Make and lock `path`; a sweeper that came in between has taken the name away, then once more."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(OSError):  # no flock on this file system: then sweepers cannot lock it either
            fcntl.flock(file, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.stat(path).st_ino == os.fstat(file).st_ino:
                return file
        os.close(file)


def _sweep(folder: str) -> None:
    """Remove the folders of those who died."""
    for name in os.listdir(folder):
        if not name.endswith(_LOCK):
            continue
        path = os.path.join(folder, name)
        with contextlib.suppress(OSError):  # held by one who lives, or another sweeps too
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path.removesuffix(_LOCK), ignore_errors=True)
                os.unlink(path)
            finally:
                os.close(file)
