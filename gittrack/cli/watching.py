"""Watching a job at a host: its console here, and what Ctrl-C means.

A job belongs to its host, not to the process that watches it. So this process may end in any way, and only who says so
ends the job: by answering Ctrl-C, by `git track stop`, or by SIGINT where nobody can be asked.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gittrack import errors
from gittrack.cli.context import Workplace
from gittrack.cli.render import say
from gittrack.compare.text import count
from gittrack.core.layout import SHORT
from gittrack.launch.jobs import stopping
from gittrack.launch.later import Later
from gittrack.launch.reached import At
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.launch.engine.state import Container
    from gittrack.launch.jobs.following import Out

QUESTION = "\ngittrack: [d]etach, [s]top the job, or [c]ontinue to watch? "
DETACH, STOP, CONTINUE = "detach", "stop", "continue"


class Leave(BaseException):
    """This process is told to end; the job is not."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Left(Exception):
    """Nobody watches any more. `code` is that of this process."""

    def __init__(self, code: int = 0) -> None:
        super().__init__(code)
        self.code = code


def watch(
    at: At, place: Workplace, run_id: str, tail: int | None = None, out: "Out | None" = None
) -> "Container | None":
    """Show the console until the job is over and its results are here. The container as it ended, None when it is gone.

    Raises Left, LinkLost, HostFailed."""
    follower = lazy("gittrack.launch.jobs.following").Follower(at, place.paths, run_id, tail)
    stops: list[Later[bool]] = []
    try:
        with _leaving():
            while True:
                try:
                    follower.console(out or put)
                    found: Container | None = follower.finish()
                    if follower.missing:
                        left = count(follower.missing, "file")
                        say(f"left out of run {run_id[:SHORT]}: {left} that {at.host.name} has not, or not as kept")
                    return found
                except KeyboardInterrupt:
                    _interrupted(at, run_id, stops)
    except Leave as leave:
        _say_left(run_id)
        raise Left(128 + leave.number) from None
    except errors.LinkLost as error:
        error.hint = f"the job goes on; `git track attach {run_id[:SHORT]}` watches it again"
        raise
    finally:
        follower.leave()


def put(stream: int, data: bytes) -> None:
    """What the command printed, where it would have."""
    out = sys.stderr.buffer if stream == 2 else sys.stdout.buffer
    out.write(data)
    out.flush()


def _interrupted(at: At, run_id: str, stops: list[Later[bool]]) -> None:
    """Ctrl-C. Raises Left."""
    answer = _ask()
    if answer == DETACH or (answer == STOP and stops and not stops[-1].is_over):
        _say_left(run_id)
        raise Left
    if answer == STOP:
        say(f"stopping run {run_id[:SHORT]}: it has {stopping.GRACE} seconds for a last checkpoint")
        stops.append(Later(lambda: stopping.stop(at, run_id)))


def _ask() -> str:
    """What the user wants. Without a terminal an interrupt is meant for the job, as it is for a command here."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return STOP
    try:
        os.write(terminal, QUESTION.encode())
        answer = os.read(terminal, 100).decode("utf-8", "replace").strip().lower()
    except (KeyboardInterrupt, OSError):  # a second Ctrl-C: whoever is that impatient wants his prompt back
        return DETACH
    finally:
        os.close(terminal)
    return {"s": STOP, "c": CONTINUE, "": CONTINUE}.get(answer[:1], DETACH)


def _say_left(run_id: str) -> None:
    short = run_id[:SHORT]
    say(f"run {short} goes on; `git track attach {short}` watches it, `git track stop {short}` ends it")


@contextlib.contextmanager
def _leaving() -> Iterator[None]:
    """SIGTERM and SIGHUP end this process alone: a laptop that is shut down sends them, too."""

    def leave(number: int, _frame: object) -> None:
        raise Leave(number)

    before: dict[signal.Signals, Any] = {}
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            before[number] = signal.signal(number, leave)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
