"""The process that keeps a job's files, so that neither the training nor its console waits for hashing and flushing.

Of low priority; one at a time. See `record/storing_parcels.py`: here files go to a folder instead of a store.
"""

from __future__ import annotations

import contextlib
import os

from gittrack.attendant.holding import Files
from gittrack.attendant.job import Job, Place
from gittrack.lazy import lazy
from gittrack.record import keeping
from gittrack.record.storing_parcels import Storing, serve, take_lock

_NICE = 10
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "ppc64le": 273, "s390x": 282}
_LOWEST = (2 << 13) | 7  # of the ordinary class


def serve_until_told(job: Job, place: Place) -> bool:
    """Keep what comes until something can be read from standard input. False when something could not be kept."""
    _step_back()
    storer = _opened(job, place)
    if storer is None:
        return True
    try:
        return serve(storer, 0)
    finally:
        storer.close()


def keep(job: Job, place: Place) -> None:
    """Keep all that waits, here and now. Raises GittrackError, OSError."""
    storer = _opened(job, place)
    if storer is None:
        return
    try:
        storer.keep_all()
    finally:
        storer.close()


def _opened(job: Job, place: Place) -> Storing | None:
    lock = take_lock(place.run)
    if lock is None:
        return None
    policy = keeping.Policy(job.large, tuple(job.stored))
    return Storing(place.run, lock, Files(place.run), policy, lambda: None)


def _step_back() -> None:
    """Leave processor and disk to the training where it wants them."""
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    number = _IOPRIO_SET.get(os.uname().machine)
    if number is not None:
        with contextlib.suppress(OSError, AttributeError):
            lazy("ctypes").CDLL(None).syscall(number, 1, 0, _LOWEST)
