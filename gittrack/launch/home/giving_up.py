"""Jobs whose host is gone for good, or their record there: their runs end here, with what has come of them.

What became of a job after that nobody here knows, and its record says so. Should its host come back, what it has is
neither taken nor marked as fetched: that record goes on otherwise. Who wants it undoes the giving up.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

from gittrack import errors
from gittrack.attendant.closing_job import say_end
from gittrack.core import events
from gittrack.core.layout import SHORT
from gittrack.git.repository import Repository
from gittrack.recorder import files
from gittrack.runs import away, closing, live
from gittrack.runs.cutting import Cutter
from gittrack.runs.folding import Following

_GIVEN_UP = "given up: "
REASON = f"{_GIVEN_UP}its host is gone, and what became of it there is not known"
STATUS = "crashed"


def spoiled(why: str) -> str:
    """The reason of a run whose record at its host cannot be taken."""
    return f"{_GIVEN_UP}its record at its host was removed or changed while it ran ({why})"


def give_up(repo: Repository, run_id: str, now: float, reason: str = REASON, code: int | None = None) -> None:
    """End the run by what is here of it; `code`: of its command, where that is known. Raises RunNotFound where it is
    not away, CannotWrite."""
    directory = live.folder(repo.paths, run_id)
    sent = away.read(directory) if live.is_away(directory) else None
    if sent is None:
        raise errors.RunNotFound(
            f"run {run_id[:SHORT]} is at no host", "`git track ps` lists what is going on, and where"
        )
    try:
        following = Following.open(repo, directory)
    except OSError as error:
        raise _unwritable(directory, error) from error
    if following is None:
        raise errors.RunNotFound(
            f"run {run_id[:SHORT]} is just being brought home by another process",
            "end that one: git track attach, or wait",
        )
    try:
        _end(directory, sent, now, reason, code)
        following.advance(now)
        following.remove()
    except OSError as error:
        raise _unwritable(directory, error) from error
    finally:
        following.close()


def is_given_up(status: Mapping[str, Any]) -> bool:
    """Whether a record ends as this module ends it."""
    return status.get("status") == STATUS and str(status.get("reason")).startswith(_GIVEN_UP)


def _end(directory: str, sent: away.Away, now: float, reason: str, code: int | None) -> None:
    if not _has_begun(directory):
        _begin(directory, sent)
    if not files.has_ended(directory):
        say_end(directory, {"code": code, "reason": reason, "signal": None, "status": STATUS})
    closing.final_cut(Cutter(directory), now, STATUS, (), lambda: None)


def _has_begun(directory: str) -> bool:
    try:
        with open(os.path.join(directory, events.STARTER), "rb") as file:
            return all(events.whole_lines(file.readline()) for _ in range(2))
    except FileNotFoundError:
        return False


def _begin(directory: str, sent: away.Away) -> None:
    """Nothing of the journal has come: what was sent there is how it begins."""
    lines = away.start_event(sent)
    if lines is None:
        raise errors.RunNotFound("nothing is known of this run, not even its command", "remove the folder " + directory)
    with open(os.path.join(directory, events.STARTER), "wb") as file:
        for line in lines:
            file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _unwritable(directory: str, error: OSError) -> errors.CannotWrite:
    return errors.CannotWrite(
        f"cannot write {error.filename or directory}: {error.strerror or error}", "make room or correct the permissions"
    )
