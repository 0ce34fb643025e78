"""The process that archives older runs when a recorded one has ended and there are hundreds, and removes what that
leaves over, of a push, a pull and `git track archive` as well. Nobody waits for it.

A sweep of thousands of runs would otherwise leave as many refs until the next push.
"""

import contextlib
import fcntl
import os
import time

from gittrack import errors
from gittrack.config import environment, settings, user
from gittrack.core import layout
from gittrack.git import command, trackdir
from gittrack.git.discover import Paths
from gittrack.git.open import open_repository
from gittrack.git.repository import Repository
from gittrack.record import processes
from gittrack.runs import archiving, due, leftovers
from gittrack.runs.annotations import Author

_LOCK = "archiver.lock"
_TRIES = 30
_TIDY = "tidy"


def begin(repo: Repository) -> None:
    """Start the process where it may have something to do: one that has nothing ends at once."""
    if len(repo.refs(layout.RUNS)) >= due.BACKGROUND or leftovers.is_due(repo.paths):
        process = processes.start("archiver", [], repo.paths)
        if process is not None:
            process.returncode = 0  # not waited for


def tidy(paths: Paths) -> None:
    """Start it to remove what is left over, if that is much, and to archive nothing: somebody has just done that."""
    if leftovers.is_due(paths):
        process = processes.start("archiver", [_TIDY], paths)
        if process is not None:
            process.returncode = 0  # not waited for


def main() -> None:
    """The process."""
    words, paths = processes.given()
    processes.step_back()
    file = trackdir.open_file(paths.common_dir, _LOCK)
    with contextlib.suppress(BlockingIOError, errors.GittrackError):  # another one is at it; or at the next run's end
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _TIDY not in words:
            _archive(paths)
        _sweep(paths)
    os._exit(0)


def _archive(paths: Paths) -> None:
    environ = environment.current()
    repo = open_repository(paths, environ)
    config = command.config(repo.git)
    found = due.due(repo, settings.load(paths, environ, config).archive, due.BACKGROUND)
    if found:
        archiving.archive(repo, found, Author(user.signature(config, environ), time.time(), due.COMMAND))


def _sweep(paths: Paths) -> None:
    repo = open_repository(paths, environment.current())
    for _ in range(_TRIES if leftovers.is_due(paths) else 0):
        if leftovers.sweep(repo) is not None:
            break
        time.sleep(1.0)  # somebody packs objects just now
