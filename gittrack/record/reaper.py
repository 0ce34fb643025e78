"""Orphans of the command come to the front process, so that the command's end is known even without the keeper.

Linux only; elsewhere a command whose keeper was killed is seen to end, but not how.
"""

from __future__ import annotations

import os
import sys

from gittrack.lazy import lazy

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Have the kernel give us the children of our children that die."""
    if sys.platform == "linux":
        lazy("ctypes").CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap() -> dict[int, int]:
    """Wait statuses of all children that have ended, by pid. Not where a subprocess is waited for elsewhere."""
    ended: dict[int, int] = {}
    try:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return ended
            ended[pid] = status
    except ChildProcessError:
        return ended
