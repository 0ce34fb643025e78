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
from gittrack.cli.host_talk import talk as talking
from gittrack.cli.render import say
from gittrack.compare.text import count, line
from gittrack.core.layout import SHORT
from gittrack.launch.jobs import stopping
from gittrack.launch.jobs.lasting import Lasting
from gittrack.launch.later import Later
from gittrack.launch.reached import At, Clone, Talk

if TYPE_CHECKING:
    from gittrack.launch.jobs.following import Out

TRIES = 3  # answers
QUESTION = "\ngittrack: [d]etach, [s]top the job, or [c]ontinue to watch? "
DETACH, STOP, CONTINUE = "detach", "stop", "continue"


class Leave(BaseException):
    """This process is told to end; the job is not."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Left(Exception):
    """Nobody watches any more. `code` is that of this process."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def watch(
    at: At,
    clone: Clone,
    run_id: str,
    tail: int | None = None,
    out: "Out | None" = None,
    talk: Talk | None = None,
) -> None:
    """Show the console until the job is over and its results are here, across connections.

    Raises Left, LinkLost, HostFailed."""
    watched = Lasting(at, clone, run_id, talk or talking(), tail)
    stops: list[Later[bool]] = []
    short = run_id[:SHORT]
    try:
        with _leaving():
            while True:
                try:
                    watched.console(out or put)
                    if watched.is_cut_short:
                        say(f"its container is gone; `git track logs {short}` has the rest of what it printed")
                    watched.finish()
                    if watched.spoiled:
                        say(f"{watched.spoiled}. Run {short} ends with what had come of it before; the rest is lost")
                    if watched.missing:
                        left = count(watched.missing, "file")
                        say(f"left out of run {short}: {left} that {at.host.name} has not, or not as kept")
                    return
                except KeyboardInterrupt:
                    _interrupted(watched, run_id, stops)
    except Leave as leave:
        _say_left(run_id)
        raise Left(128 + leave.number) from None
    except errors.LinkLost as error:
        goes_on = "the job goes on; " if error.kind == errors.LinkLost.kind else ""  # without its engine, who knows
        error.hint = f"{goes_on}`git track attach {short}` watches it again"
        raise
    finally:
        watched.close()


def put(stream: int, data: bytes) -> None:
    """What the command printed, where it would have."""
    out = sys.stderr.buffer if stream == 2 else sys.stdout.buffer
    out.write(data)
    out.flush()


def _interrupted(watched: Lasting, run_id: str, stops: list[Later[bool]]) -> None:
    """Ctrl-C. Raises Left."""
    answer = _ask()
    if answer == DETACH or (answer == STOP and stops and not stops[-1].is_over):
        _say_left(run_id)
        raise Left(128 + signal.SIGINT)
    if answer == STOP:
        say(f"stopping run {run_id[:SHORT]}: it has {stopping.GRACE} seconds for a last checkpoint")
        stops.append(Later(watched.stop))


def _ask() -> str:
    """What the user wants. Without a terminal an interrupt is meant for the job, as it is for a command here."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return STOP
    try:
        for _ in range(TRIES):
            os.write(terminal, QUESTION.encode())
            said = os.read(terminal, 100)
            if not said:  # nobody is there any more
                return DETACH
            answer = said.decode("utf-8", "replace").strip().lower()
            for known in (DETACH, STOP, CONTINUE):
                if known.startswith(answer):  # nothing: the question was not meant to be asked
                    return known if answer else CONTINUE
            os.write(terminal, f"gittrack: {line(answer)[:20]} is none of d, s, c".encode())
        os.write(terminal, b"\n")
        return DETACH
    except (KeyboardInterrupt, OSError):  # a second Ctrl-C: whoever is that impatient wants his prompt back
        return DETACH
    finally:
        os.close(terminal)


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
