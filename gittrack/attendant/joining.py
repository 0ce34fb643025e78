"""A command beside the job's, as somebody wants it who looks into the container: with the environment that the job has.

It takes our place. What the engine starts in a container knows only what the image says: no home, none of the variables
that the job was given.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence

from gittrack import errors
from gittrack.attendant import job as jobs
from gittrack.attendant.job import Job, Place
from gittrack.record import command

_OURS = (signal.SIGPIPE, signal.SIGXFSZ)  # which Python ignores, and what it starts would, too


def join(job: Job, place: Place, words: Sequence[str], environ: Mapping[str, str]) -> None:
    """`words`: names of variables in `environ` that go before the job's, `--`, the command. Does not return.

    Raises UsageError, CannotStart, OSError."""
    names, argv = _parted(words)
    child = {**jobs.environ(environ, place, jobs.continued(job)), **{name: environ[name] for name in names}}
    file = command.find(argv[0], child)
    for number in _OURS:
        signal.signal(number, signal.SIG_DFL)
    os.execve(file, argv, child)


def _parted(words: Sequence[str]) -> tuple[list[str], list[str]]:
    if "--" not in words or words[-1:] == ["--"]:
        raise errors.UsageError("no command is given", "exec [NAME...] -- COMMAND")
    middle = list(words).index("--")
    return list(words[:middle]), list(words[middle + 1 :])
