"""Runs of this clone that are somewhere else: at a host, on their way there, or on their way back.

The folder of such a run is a live folder whose journal comes from the host, byte for byte, with a file of its own that
says so. While that file is there and the final cut is not, nobody here cuts the run, ends it or takes it for dead: how
it stands only its host knows. That the host was asked is the file's modification time, so that a poll writes nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from gittrack.core import codec, events

FILE = "away.json"
FORMAT = 1
_LOCK = "away.lock"  # held while that is changed
QUEUED, SENDING, BUILDING, STARTING, RUNNING, LOST = "queued", "sending", "building", "starting", "running", "lost?"
STATES = (QUEUED, SENDING, BUILDING, STARTING, RUNNING, LOST)
HERE = "here"  # the host that is this machine
UNKNOWN = "?"  # the host of which the file does not tell
AHEAD = 2.0  # seconds that clocks may differ before it matters; how far they do is not known any better
PATIENCE = 3600.0  # seconds without a word from the host, after which a run is shown as `lost?`
_LONGEST = 64 << 20  # of a file that we wrote ourselves
_KEYS = ("format", "host", "state", "step", "since", "project", "start")


class Away(NamedTuple):
    """What is known here of a run that is elsewhere. `start`: its start event, until the journal says it; `more`: what
    whoever sent it has to remember."""

    host: str  # as the user calls it
    state: str = QUEUED  # one of STATES
    step: str | None = None  # the last one that was done, in the words of who does them
    since: float = 0.0  # when it was sent off
    seen: float = 0.0  # when its host last told of it
    project: str | None = None
    start: Mapping[str, Any] = {}
    more: Mapping[str, Any] = {}

    @property
    def ahead(self) -> float:
        """Seconds by which the clock of the host is ahead of ours, as far as it is known."""
        found = self.more.get("ahead")
        if isinstance(found, (int, float)) and events.is_time(abs(found)) and abs(found) >= AHEAD:
            return float(found)
        return 0.0

    def shown(self, now: float) -> str:
        """The state that is shown of a run that has not begun yet, or says nothing of its end."""
        if self.state == LOST or now - self.seen > PATIENCE:
            return LOST
        return RUNNING if self.state == RUNNING else QUEUED


def path(directory: str) -> str:
    return os.path.join(directory, FILE)


def is_there(directory: str) -> bool:
    """Whether the run in this folder was sent elsewhere, or comes from there."""
    return os.path.exists(path(directory))


def read(directory: str) -> Away | None:
    """None where the run in this folder is one of this machine. Unreadable: away all the same, at an unknown host."""
    try:
        with open(path(directory), "rb") as file:
            seen = os.fstat(file.fileno()).st_mtime
            found = codec.loads(file.read(_LONGEST))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:  # another user's run; of a folder that may not be looked into nothing is known
        return _decoded({}, 0.0) if is_there(directory) else None
    except (ValueError, KeyError, TypeError):
        found, seen = {}, 0.0
    return _decoded(found if isinstance(found, dict) else {}, seen)


def create(directory: str, away: Away) -> None:
    """Make the folder of a run that is away; nothing where there is one. Raises OSError."""
    if os.path.isdir(directory):
        return
    aside = f"{directory}.{os.getpid()}.away"
    try:
        os.makedirs(aside)
        _write(aside, away)
        try:
            os.rename(aside, directory)
        except OSError:
            if not os.path.isdir(directory):  # it is: somebody else made it meanwhile
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def update(directory: str, **changes: Any) -> Away | None:
    """Change fields of `Away`, those of `more` by their own names. None when the run is not away any more. Several
    processes may do so at once.

    Raises OSError."""
    own = {name: value for name, value in changes.items() if name in Away._fields and name != "more"}
    rest = {name: value for name, value in changes.items() if name not in Away._fields}
    try:
        with _alone(directory):
            found = read(directory)
            if found is None:
                return None
            found = found._replace(**{"seen": time.time(), **own}, more={**found.more, **rest})
            _write(directory, found)
            return found
    except (FileNotFoundError, NotADirectoryError):  # all of it came home just now
        return None


def touch(directory: str) -> None:
    """Its host has told of it just now."""
    with contextlib.suppress(OSError):  # gone: its results are all here
        os.utime(path(directory))


def start_event(away: Away) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """What the first two lines of the journal are going to say, as far as it is known; None where nothing is."""
    if not events.is_sound({"e": "start", **away.start}):
        return None
    return {"e": "process", "t": 0.0, "w": away.since}, {"t": 0.0, "w": away.since, **away.start, "e": "start"}


@contextlib.contextmanager
def _alone(directory: str) -> Iterator[None]:
    """Nobody else changes it meanwhile. Raises OSError."""
    with open(os.open(os.path.join(directory, _LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(directory: str, away: Away) -> None:
    content = {name: value for name, value in away._asdict().items() if name in _KEYS}
    data = codec.dumps({**away.more, **content, "format": FORMAT})
    fresh = f"{path(directory)}.{os.getpid()}.new"
    try:
        # What somebody has asked for with `--env NAME=VALUE` stands in it.
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.utime(fresh, (away.seen or time.time(),) * 2)
        os.replace(fresh, path(directory))
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(fresh)


def _decoded(found: Mapping[str, Any], seen: float) -> Away:
    host, state, step, project = (found.get(name) for name in ("host", "state", "step", "project"))
    since, start = found.get("since"), found.get("start")
    return Away(
        host if isinstance(host, str) else UNKNOWN,
        state if state in STATES else LOST,
        step if isinstance(step, str) else None,
        float(since) if isinstance(since, (int, float)) and events.is_time(since) else 0.0,
        seen,
        project if isinstance(project, str) else None,
        start if isinstance(start, dict) else {},
        {name: value for name, value in found.items() if name not in _KEYS},
    )
