"""The folders of live runs: where they are, and who of their processes is still there.

Death is decided by the kernel, not by clocks: every process of a run holds a lock on its journal while it lives, so a
run whose locks are all free has nobody left, whatever became of pids, terminals and machines in between.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from gittrack.core import events, layout
from gittrack.core import parcels as of_files
from gittrack.recorder import files, process
from gittrack.runs import away

if TYPE_CHECKING:
    from gittrack.git.discover import Paths

OPEN, DEAD, FINAL, UNKNOWN, EMPTY, AWAY = "open", "dead", "final", "unknown", "empty", "away"
GOING = (OPEN, UNKNOWN, AWAY)  # there may be somebody who writes, here or elsewhere: its folder is not ours to end

REFUSED = ".refused"  # of a folder whose record was not taken
SETTLING = 60.0  # seconds in which a folder without its first events is taken to be just starting


class Here(NamedTuple):
    """What decides whether a silent run can only be dead."""

    boot: str | None
    machine: str | None


def here() -> Here:
    return Here(process.boot_id(), process.machine_id())


def track_dir(paths: Paths) -> str:
    """Where gittrack keeps what is not in refs: shared by all worktrees of a clone."""
    return os.path.join(paths.common_dir, "track")


def root(paths: Paths) -> str:
    return os.path.join(track_dir(paths), "live")


def folder(paths: Paths, run_id: str) -> str:
    return os.path.join(root(paths), run_id)


def create(paths: Paths) -> tuple[str, str]:
    """Make the folder of a new run. Returns its id and the folder. Raises OSError."""
    run_id = layout.new_id(os.urandom(10))
    directory = folder(paths, run_id)
    os.makedirs(directory)
    return run_id, directory


def ids(paths: Paths) -> list[str]:
    """The runs that have a folder here, in no order."""
    try:
        return [name for name in os.listdir(root(paths)) if layout.is_id(name)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def process_files(directory: str) -> list[str]:
    """The journals in the folder, in the format's order."""
    try:
        return events.in_order(os.listdir(directory))
    except FileNotFoundError:
        return []


def parcels(directory: str) -> list[str]:
    """The whole parcels that wait to be kept, the oldest first. What was still being copied is none."""
    try:
        return sorted(filter(of_files.is_name, os.listdir(os.path.join(directory, of_files.PARCELS))))
    except (FileNotFoundError, NotADirectoryError):
        return []


def parcel(directory: str, name: str) -> str:
    """The folder of a parcel."""
    return os.path.join(directory, of_files.PARCELS, name)


def blob(directory: str, sha256: str) -> str:
    """Where a small file is until a commit holds it."""
    return os.path.join(directory, of_files.BLOBS, sha256)


def read_cuts(directory: str) -> list[events.Cut]:
    with contextlib.suppress(FileNotFoundError), open(os.path.join(directory, events.CUTS), "rb") as file:
        return events.parse_cuts(file.read())
    return []


def head(directory: str) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """The `process` and `start` events of the run, or None while they are not both written (or not ours to read). Of a
    run whose journal is still to come from its host: what was sent there."""
    try:
        with open(os.path.join(directory, events.STARTER), "rb") as file:
            first, second = (events.parse_line(events.whole_lines(file.readline())) for _ in range(2))
        if first and second and first.get("e") == "process" and second.get("e") == "start":
            return first, second
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass
    sent = away.read(directory)
    return away.start_event(sent) if sent else None


def held(directory: str, names: list[str]) -> bool:
    """Whether a process holds the lock on one of these journals."""
    return any(files.is_locked(os.path.join(directory, name)) for name in names)


def state(directory: str, machine_here: Here) -> str:
    """OPEN: somebody is there; DEAD: nobody can be; FINAL: closed, to be folded; UNKNOWN: cannot be decided from here;
    EMPTY: it died before it was a run; AWAY: it is at a host, and comes from there."""
    try:
        return _state(directory, machine_here)
    except PermissionError:  # another user's run, in a repository that several share
        return UNKNOWN


def _state(directory: str, machine_here: Here) -> str:
    cuts = read_cuts(directory)
    if cuts and cuts[-1].reason == "final":
        return FINAL
    if away.is_there(directory):
        return AWAY
    if held(directory, process_files(directory)):
        return OPEN
    first = head(directory)
    if first is None:
        return OPEN if _young(directory) else EMPTY
    starter = first[0]
    same_boot = starter.get("boot") is not None and starter["boot"] == machine_here.boot
    same_machine = starter.get("machine") is not None and starter["machine"] == machine_here.machine
    return DEAD if same_boot or same_machine else UNKNOWN


def is_away(directory: str) -> bool:
    """Whether the run is at a host, and not all of it has come back."""
    return away.is_there(directory) and state(directory, Here(None, None)) == AWAY


def over(paths: Paths) -> list[str]:
    """The runs that are to be folded: nobody writes them any more. In no order."""
    found = ids(paths)
    this = here() if found else Here(None, None)
    return [run_id for run_id in found if state(folder(paths, run_id), this) in (DEAD, FINAL, EMPTY)]


def remove(directory: str) -> None:
    """Take the folder away so that a reader sees it whole or not at all."""
    aside = directory + ".done"
    with contextlib.suppress(FileNotFoundError):
        os.rename(directory, aside)
    shutil.rmtree(aside, ignore_errors=True)


def put_aside(directory: str) -> None:
    """Nobody folds it any more: what is in it is refused, and may be looked at."""
    aside = directory + REFUSED
    shutil.rmtree(aside, ignore_errors=True)  # that of an earlier try
    with contextlib.suppress(OSError):
        os.rename(directory, aside)


def _young(directory: str) -> bool:
    try:
        return time.time() - os.stat(directory).st_mtime < SETTLING
    except FileNotFoundError:
        return False
