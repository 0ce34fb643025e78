"""Locks that one process at a time has, in folders that may be removed while somebody waits for them."""

from __future__ import annotations

import fcntl
import os

LOCK = "lock"  # in the folder of a live run: held by who cuts it


def take(path: str) -> int | None:
    """The descriptor that holds the lock file `path`, made if it is not there; None when another process has it, or it
    was removed meanwhile with its folder. Raises OSError when it cannot be written."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    if not os.path.exists(path):
        os.close(lock)
        return None
    return lock


def take_run(directory: str) -> int | None:
    """The lock of a live run: only who has it cuts. Raises OSError."""
    return take(os.path.join(directory, LOCK))
