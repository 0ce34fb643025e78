"""`git track exec`: a command in the container of a job, with this terminal when there is one."""

import contextlib
import os
import shutil
import signal
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from gittrack import errors
from gittrack.cli import jobs, run_at_host
from gittrack.cli.context import here
from gittrack.cli.host_talk import talk
from gittrack.cli.watching import put
from gittrack.launch.engine import containers
from gittrack.launch.jobs.job import Asked, check_variables, options
from gittrack.launch.reached import reach

if TYPE_CHECKING:
    from gittrack.launch.engine.engine import Session

_PIECE = 1 << 16


def exec_command(
    run: jobs.ONE,
    command: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="The command and its arguments.")],
    host: jobs.AT = None,
    env: Annotated[
        list[str] | None, typer.Option(metavar="NAME[=VALUE]", help="A variable for it, besides those of the job.")
    ] = None,
) -> int:
    """Run a command in the container of a job.

    It sees the same files, GPUs and variables as the job, which has to be running, and works where that does. At a
    terminal it gets one, too, so that shells and monitors work. Nothing of it is recorded.

    Examples:
      git track exec latest -- nvidia-smi
      git track exec 7c3e -- bash
      git track exec --env CUDA_VISIBLE_DEVICES=1 latest -- python probe.py
    """
    argv = command[1:] if command[:1] == ["--"] else command
    if not argv:
        raise errors.UsageError("no command is given", "for example: git track exec latest -- bash")
    asked, clone = Asked("", env=tuple(env or ())), run_at_host.clone(here())
    check_variables(asked, clone.environ)
    more = containers.environment(options(asked), clone.environ)
    found = jobs.job(run, host)
    at = reach(found.host, clone.environ, talk().ask)
    try:
        terminal = sys.stdin.isatty() and sys.stdout.isatty()
        beside = containers.attendant("exec", *more, "--", *argv)
        session = at.engine.exec(jobs.container(at, found).id, beside, terminal, more)
        with contextlib.closing(session):
            return _terminal(session) if terminal else _piped(session)
    finally:
        at.close()


def _piped(session: "Session") -> int:
    threading.Thread(target=_feed, args=(session,), daemon=True).start()
    for stream, data in session.frames():
        put(stream, data)
    return session.code()


def _terminal(session: "Session") -> int:
    with _raw(), _sized(session):
        return _piped(session)


def _feed(session: "Session") -> None:
    """What is typed, or comes through a pipe."""
    with contextlib.suppress(OSError, errors.GittrackError):  # it has ended, and whoever waits for it says how
        while data := os.read(0, _PIECE):
            session.send(data)
        session.end_input()


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """Every key goes to the terminal there."""
    before = termios.tcgetattr(0)
    tty.setraw(0, termios.TCSADRAIN)  # what was typed ahead is for the command
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _sized(session: "Session") -> Iterator[None]:
    """The terminal there has the size of this one."""

    def resize(*_: object) -> None:
        size = shutil.get_terminal_size()
        with contextlib.suppress(errors.GittrackError):  # it has just ended
            session.resize(size.lines, size.columns)

    before = signal.signal(signal.SIGWINCH, resize)
    try:
        resize()
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
