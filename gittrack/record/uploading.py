"""The process that brings the files of one run to the stores of the settings, while the run goes on and after it.

It holds nothing that the run's end waits for. A store that cannot be reached is tried again, less and less often, as
long as the run lives and some minutes longer; what is left then, `git track store push` brings, or the uploading
process of a later run when it is done with its own.
"""

import contextlib
import fcntl
import os
import signal
import time

from gittrack import errors
from gittrack.config import environment, settings
from gittrack.git import command
from gittrack.git.discover import Paths
from gittrack.git.open import open_repository
from gittrack.git.repository import Repository
from gittrack.record import processes, storer, uploads
from gittrack.runs import live, stores
from gittrack.store.transfer import File

LOOK_EVERY = 2.0
SHARE = 20  # looking for files takes at most one of so many parts of the time
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
TRIES = 8  # after the run has ended: four minutes
WORKERS = 4


def main() -> None:
    """The process."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    (run_id, descriptor), paths = processes.given()
    processes.step_back()
    if not run_id or _bring(paths, run_id, int(descriptor)):
        _bring_left(paths)
    os._exit(0)


def _bring(paths: Paths, run_id: str, descriptor: int) -> bool:
    uploading = Uploading(paths, run_id, descriptor)
    done = uploading.serve()
    if done:
        uploading.leave()
    return done


def _bring_left(paths: Paths) -> None:
    """Bring what earlier runs have left, one after the other, as long as the stores take it. One process does that."""
    folder = os.open(uploads.path(paths, ""), os.O_RDONLY | os.O_CLOEXEC)
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for run_id in uploads.left(paths):
            descriptor = uploads.locked(uploads.path(paths, run_id))
            if descriptor is not None:
                if not _bring(paths, run_id, descriptor):
                    return
                os.close(descriptor)


class Uploading:
    """One run's uploads, while its lock is held."""

    def __init__(self, paths: Paths, run_id: str, descriptor: int) -> None:
        self._paths = paths
        self._run_id = run_id
        self._lock = descriptor
        self._done: set[File] = set()
        self._left = 0
        self._next = 0.0

    def serve(self) -> bool:
        """Upload until the run has nothing more; False when something could not be."""
        pause, tries = FIRST_PAUSE, 0
        while True:
            last = not storer.is_at_work(live.folder(self._paths, self._run_id))  # before looking for files
            began = time.monotonic()
            try:
                worked = self._upload()
            except (errors.GittrackError, OSError) as error:
                uploads.publish(self._lock, uploads.Upload(self._left, str(getattr(error, "message", error))))
                tries += last
                if tries > TRIES:
                    return False
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            pause = FIRST_PAUSE
            if last and not worked:
                return True
            if not worked:
                self._wait(max(LOOK_EVERY, SHARE * (time.monotonic() - began)))

    def leave(self) -> None:
        """Say that all is there. Who came in the meantime found us, and started nobody: then another one is begun."""
        with contextlib.suppress(FileNotFoundError):  # a person has removed it
            os.unlink(uploads.path(self._paths, self._run_id))
        if storer.is_at_work(live.folder(self._paths, self._run_id)) or self._has_new():
            uploads.begin(self._paths, self._run_id)

    def _wait(self, seconds: float) -> None:
        """For so long, or until the run's storer has gone."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and storer.is_at_work(live.folder(self._paths, self._run_id)):
            time.sleep(0.1)

    def _upload(self) -> bool:
        """Bring what is new to all stores; whether there was anything. Raises GittrackError, OSError."""
        environ = environment.current()
        with contextlib.closing(open_repository(self._paths, environ)) as repo:
            wanted = settings.load(self._paths, environ, command.config(repo.git))
            new = self._new(repo)
            self._left = sum(file.size for file in new)
            uploads.publish(self._lock, uploads.Upload(self._left, None))
            if new:
                stores.upload(repo, wanted, new, self._count, WORKERS)
            self._done.update(new)
        return bool(new)

    def _has_new(self) -> bool:
        with contextlib.closing(open_repository(self._paths, environment.current())) as repo:
            return bool(self._new(repo))

    def _new(self, repo: Repository) -> list[File]:
        try:
            found = stores.needed(repo, [self._run_id])
        except errors.RunNotFound:  # removed meanwhile
            return []
        return [file for file in found if file not in self._done]

    def _count(self, size: int) -> None:
        self._left = max(self._left - size, 0)
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + 0.1
            uploads.publish(self._lock, uploads.Upload(self._left, None))
