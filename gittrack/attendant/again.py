"""Executing the run of an image again: each start of a container is a run of its own. See launch/images/standalone.py.

The image has what a job's folder has, but for what differs from run to run: its id, its beginning, perhaps its command.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

from gittrack.attendant import job as jobs
from gittrack.attendant.entry import RUNS, WORK
from gittrack.attendant.job import Place
from gittrack.core import codec, layout
from gittrack.core.redact import Redactor
from gittrack.record import command

_ELSEWHERE = ("/tmp", "/dev/shm")
_OURS = (signal.SIGPIPE, signal.SIGXFSZ)  # which Python ignores, and what it starts would, too


def prepare(recorder: str, words: Sequence[str]) -> Place | None:
    """The folder of a new run that executes `words`; None where nothing can be written. Raises OSError."""
    with open(os.path.join(os.path.dirname(recorder), jobs.FILE), "rb") as task:
        document = codec.loads(task.read())
    run_id = layout.new_id(os.urandom(10))
    clean = Redactor.from_json(document["redactor"]).argv(words)
    document["id"], document["argv"] = run_id, list(words)
    document["start"]["run"].update(
        id=run_id, command=command.text_of(clean), argv=clean, created=codec.format_time(time.time())
    )
    for parent in (RUNS, *_ELSEWHERE):
        folder = os.path.join(parent, run_id)
        with contextlib.suppress(OSError):
            os.mkdir(folder)
            with open(os.path.join(folder, jobs.FILE), "wb") as file:
                file.write(codec.dumps(document))
            return Place(folder, WORK, recorder)
    return None


def tell(place: Place) -> None:
    """Where the run is. What a container has to itself goes with it."""
    folder = os.path.dirname(place.folder)
    more = "" if os.path.ismount(folder) else f" of this container (-v FOLDER:{RUNS} keeps it)"
    sys.stderr.write(f"gittrack: recorded in {place.folder}{more}: `git track import` takes that folder\n")


def execute(recorder: str, words: Sequence[str]) -> NoReturn:
    """The command without a record. Raises CannotStart, OSError."""
    sys.stderr.write(f"gittrack: nothing is recorded: neither {RUNS} nor /tmp can be written\n")
    sys.stderr.flush()
    for number in _OURS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    path = [recorder, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    file = command.find(words[0], os.environ)
    os.execve(file, list(words), {**os.environ, "PYTHONPATH": os.pathsep.join(path)})
