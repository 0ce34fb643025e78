"""One ref update of ours at a time in a clone, and no lock file left behind by one that was killed.

libgit2 and git lock a ref by creating `REF.lock`. A process killed between that and the rename leaves the file, and
every later update of the ref fails: a run killed at that moment could never be closed. So the refs about to be locked
are first written into `track/refs.lock`, under an flock, which the kernel frees when its holder dies. Who gets the
flock next and finds names there knows that the holder died, and removes those lock files that are as old as the note.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Sequence

from gittrack import errors
from gittrack.git import loose, trackdir
from gittrack.git.discover import Paths

_PATIENCE = 30.0  # seconds: deleting 50,000 packed refs at once takes 4
_TOLERANCE = 2.0  # seconds between note and lock file within which the lock is the dead process's own


@contextlib.contextmanager
def held(paths: Paths, refs: Sequence[str]) -> Iterator[int]:
    """Keep other gittrack processes from moving refs, git and libgit2 excepted.

    Gives the open file that holds the flock: a git that is started to move them gets it too, and so keeps it for as
    long as it runs, also when we are killed meanwhile.
    """
    place = f"{paths.common_dir}/track/refs.lock"
    file = trackdir.open_file(paths.common_dir, "refs.lock")
    try:
        locked = _wait(file, place)
        try:
            _mend(file, paths.common_dir)
            _note(file, refs, place)
            yield file
        finally:
            os.ftruncate(file, 0)
            if locked:  # said in words: a child forked meanwhile has the same open file, and may live long
                fcntl.flock(file, fcntl.LOCK_UN)
    finally:
        os.close(file)


@contextlib.contextmanager
def turn(paths: Paths, name: str) -> Iterator[None]:
    """Wait for one's turn among the processes that prepare a change of the same refs, as `track/<name>` says it.

    Who only tried again after each lost race would, among enough others, never win one. Nothing is decided by this but
    who comes first: after a while, and where the file system has no flock, everybody goes on without.
    """
    file = trackdir.open_file(paths.common_dir, name)
    try:
        with contextlib.suppress(errors.RefConflict):
            _wait(file, f"{paths.common_dir}/track/{name}")
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)  # a child forked meanwhile has the same open file
        os.close(file)


def _wait(file: int, place: str) -> bool:
    """False where the file system has no flock: then git's own locks have to do."""
    until = time.monotonic() + _PATIENCE
    pause = 0.0005
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise errors.RefConflict(f"{place} is held by another gittrack", "run the command again") from None
            time.sleep(pause)
            pause = min(pause * 1.5, 0.02)
        except OSError:
            return False
        else:
            return True


def _note(file: int, refs: Sequence[str], place: str) -> None:
    try:
        os.pwrite(file, "".join(f"{ref}\n" for ref in refs).encode("utf-8", "surrogateescape"), 0)
    except OSError as error:
        raise loose.cannot_write(error, place) from error


def _mend(file: int, common: str) -> None:
    """Remove the lock files of a holder that died."""
    status = os.fstat(file)
    if status.st_size == 0:
        return
    names = os.pread(file, status.st_size, 0).decode("utf-8", "surrogateescape").split("\n")
    for name in names[:-1]:  # the last one has no newline: nothing, or torn
        lock = os.path.join(common, name + ".lock")
        try:
            if abs(os.stat(lock).st_mtime - status.st_mtime) < _TOLERANCE:
                os.unlink(lock)
        except FileNotFoundError:
            continue
    os.ftruncate(file, 0)
