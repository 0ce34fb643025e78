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
import time
from collections.abc import Callable, Collection
from typing import NamedTuple

from gittrack.core import layout
from gittrack.git.discover import Paths
from gittrack.record import processes, waiting
from gittrack.recorder import files
from gittrack.runs import live


class Upload(NamedTuple):
    """Bytes that are not uploaded yet, as far as is known. `error`: why not, when the last try failed."""

    left: int
    error: str | None


def path(paths: Paths, run_id: str) -> str:
    return os.path.join(live.track_dir(paths), "uploads", run_id)


def begin(paths: Paths, run_id: str) -> None:
    """Start the process that uploads what this run keeps, unless there is one. It inherits the lock."""
    os.makedirs(os.path.dirname(path(paths, run_id)), exist_ok=True)
    descriptor = locked(path(paths, run_id))
    if descriptor is None:
        return
    try:
        processes.start("uploading", [run_id, str(descriptor)], paths, keep=[descriptor])
    finally:
        os.close(descriptor)


def resume(paths: Paths) -> None:
    """Have brought what earlier runs have left, unless that is going on. Costs a look where there is nothing."""
    if left(paths) and not files.is_locked(path(paths, "")):
        process = processes.start("uploading", ["", ""], paths)
        if process is not None:
            process.returncode = 0  # not waited for


def left(paths: Paths) -> list[str]:
    """The runs whose uploads ended before they were done, the oldest first."""
    found: list[tuple[float, str]] = []
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(path(paths, "")):
            with contextlib.suppress(FileNotFoundError):
                if layout.is_id(name) and not files.is_locked(path(paths, name)):
                    found.append((os.stat(path(paths, name)).st_mtime, name))
    return [name for _, name in sorted(found)]


def forget(paths: Paths, run_ids: Collection[str] | None) -> None:
    """All files of these runs (None: of all) are in the stores: nothing of them is left to be brought."""
    for run_id in left(paths):
        descriptor = locked(path(paths, run_id)) if run_ids is None or run_id in run_ids else None
        if descriptor is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path(paths, run_id))
            os.close(descriptor)


def locked(place: str) -> int | None:
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


def follow(paths: Paths, run_id: str, show: waiting.Show, since: float, interrupts: Callable[[], int]) -> bool:
    """Show how far it is, while somebody is at it, the stores take it, and the user has patience. Whether there was
    anything to show."""
    shown = False
    while True:
        found, busy = look(paths, run_id)
        if found is None:
            return shown
        shown = True
        count = interrupts()
        show(waiting.Drain(waiting.Waiting(*found), time.monotonic() - since, count, uploading=True))
        if not busy or found.error or count >= waiting.ENOUGH:
            return shown
        time.sleep(waiting.EVERY)


def publish(descriptor: int, upload: Upload) -> None:
    waiting.say(descriptor, upload.error, {"left": upload.left})
