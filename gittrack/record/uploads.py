"""Uploads to the stores of the settings, as seen by who begins them and who waits for them.

`track/uploads/<run>` is there and locked while a process of its own brings the run's files to the stores, whatever has
become of the run meanwhile; it says how far that is. One that is there and not locked says what did not succeed: the
process gave up or was killed. The end of the next run, `git track recover` and `git track store push` bring what is
left.
"""

import contextlib
import fcntl
import json
import os
from typing import NamedTuple

from gittrack.git.discover import Paths
from gittrack.record import processes
from gittrack.recorder import files
from gittrack.runs import live

LONGEST = 300  # characters of an error
_LENGTH = 2500  # always so long: it is written over itself


class Upload(NamedTuple):
    """Bytes that are not uploaded yet, as far as is known. `error`: why not, when the last try failed."""

    left: int
    error: str | None


def path(paths: Paths, run_id: str) -> str:
    return os.path.join(live.track_dir(paths), "uploads", run_id)


def begin(paths: Paths, run_id: str) -> None:
    """Start the process that uploads what this run keeps, unless there is one. It inherits the lock."""
    os.makedirs(os.path.dirname(path(paths, run_id)), exist_ok=True)
    descriptor = _locked(path(paths, run_id))
    if descriptor is None:
        return
    try:
        processes.start("uploading", [run_id, str(descriptor)], paths, keep=[descriptor])
    finally:
        os.close(descriptor)


def _locked(place: str) -> int | None:
    """The open file; None when another process has it. One that has ended meanwhile took it away: then once more."""
    while True:
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                return None
            raise
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(place), os.fstat(descriptor)):
                return descriptor
        os.close(descriptor)


def look(paths: Paths, run_id: str) -> tuple[Upload | None, bool]:
    """How far it is, None when nothing is to be uploaded; and whether somebody is at it."""
    where = path(paths, run_id)
    busy = files.is_locked(where)
    try:
        with open(where, "rb") as file:
            found = json.loads(file.read() or b"{}")
        return Upload(found.get("left", 0), found.get("error") or None), busy
    except FileNotFoundError:
        return None, False
    except (OSError, ValueError, AttributeError):  # being written
        return Upload(0, None), busy


def publish(descriptor: int, upload: Upload) -> None:
    said = {"error": (upload.error or "")[:LONGEST], "left": upload.left}
    with contextlib.suppress(OSError):  # a full disk: nobody but those who watch would miss it
        os.pwrite(descriptor, json.dumps(said).encode().ljust(_LENGTH), 0)
