"""The storer: the process that keeps the files that a run hands over, so that no training hashes or waits for a disk.

One at a time per run, of low priority. It has a process file of its own, whose lock keeps the run open until what was
handed over is kept, and which says what was kept. Killed anywhere, another one does the same parcel again: content is
stored once whatever happens, and a line that is there is not written twice.

Standard input says how things stand: a byte, that nothing more comes; its end, that nobody waits, so that the storer
itself closes the run if that is dead.
"""

import os
import signal
import time
from collections.abc import Mapping
from functools import partial

from gittrack import errors
from gittrack.config import environment, settings
from gittrack.config.keys import BY_NAME
from gittrack.git import command
from gittrack.git.command import Git
from gittrack.git.discover import Paths
from gittrack.git.open import open_repository
from gittrack.record import keeping, processes, uploads
from gittrack.record.pump import wait
from gittrack.record.storing_parcels import Storing, serve, take_lock
from gittrack.runs import folding
from gittrack.runs.own_store import own_store


def opened(paths: Paths, directory: str, environ: Mapping[str, str]) -> Storing | None:
    """None when another process keeps this run's files, or there are none. Raises OSError."""
    lock = take_lock(directory)
    if lock is None:
        return None
    policy, remote = _settings(paths, environ)
    begin = partial(uploads.begin, paths, os.path.basename(directory)) if remote else _nothing
    return Storing(directory, lock, own_store(paths), policy, begin)


def main() -> None:
    """The process."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # as we were started: signals may have been blocked there
    (directory,), paths = processes.given()
    processes.step_back()
    storer = opened(paths, directory, environment.current())
    if storer is None:
        return
    try:
        done = serve(storer, 0)
        storer.leave()
        if _is_alone():  # `git track recover` waits until this is done
            folding.fold_dead(open_repository(paths, environment.current(), "cli"), time.time())
    finally:
        storer.close()
    os._exit(0 if done else 1)  # somebody may wait for it, and taking the interpreter apart takes a while


def _is_alone() -> bool:
    """Whether nobody holds the other end of standard input."""
    while wait([0], 0):
        if not os.read(0, 100):
            return True
    return False


def _settings(paths: Paths, environ: Mapping[str, str]) -> tuple[keeping.Policy, bool]:
    """Which files are git's, and whether the others are to be uploaded."""
    try:
        found = settings.load(paths, environ, command.config(Git(paths, environ)))
    except errors.GittrackError:  # a file of settings that is being edited must not keep files from being kept
        return keeping.Policy(int(BY_NAME["large"].default)), False
    return keeping.Policy(found.large, found.stored), any("://" in each for each in found.store)


def _nothing() -> None:
    pass
