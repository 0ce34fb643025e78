"""A copy of the user's index to change freely: the user's own is never written.

The copy keeps the stat cache, so that only changed files are hashed. Its modification time is that of the original: git
compares it with the times of files to know which entries may have changed within one tick of the clock ("racily
clean"), and a newer copy would take such an edit for unchanged.
"""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator

from gittrack import errors
from gittrack.git.command import Git, Result

# A hook that watches the index is not ours to run; safecrlf=true would refuse a file; a split index would write a
# shared part into the user's git directory.
_QUIET = (
    "-c", "core.hooksPath=/dev/null", "-c", "core.safecrlf=false", "-c", "core.splitIndex=false",
    "-c", "core.fsmonitor=false", "-c", "core.untrackedCache=keep",
)  # fmt: skip
_STALE_SECONDS = 24 * 3600


class TemporaryIndex:
    """git commands that work on the copy."""

    def __init__(self, git: Git, path: str, settings: tuple[str, ...] = ()) -> None:
        self.git = git
        self.path = path
        self.settings = settings  # further `-c name=value`

    def call(self, *args: str, input: bytes | None = None) -> Result:
        done = self.git.call(*_QUIET, *self.settings, *args, input=input, env={"GIT_INDEX_FILE": self.path})
        if done.code < 0:  # a file was cut short while git had it mapped (SIGBUS): nobody takes its lock away
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path + ".lock")
        return done

    def run(self, *args: str, input: bytes | None = None) -> bytes:
        return self.git.run(*_QUIET, *self.settings, *args, input=input, env={"GIT_INDEX_FILE": self.path})

    def put(self, entries: Iterable[tuple[str, str, str]]) -> None:
        """Set (mode, oid, path) as they are; mode 0 takes the path away. No file is looked at."""
        lines = b"".join(f"{mode} {oid}\t".encode() + os.fsencode(path) + b"\0" for mode, oid, path in entries)
        if lines:
            self.run("update-index", "-z", "--index-info", input=lines)

    def write_tree(self) -> str:
        return self.run("write-tree").decode().strip()


@contextlib.contextmanager
def temporary_index(git: Git) -> Iterator[TemporaryIndex]:
    """Copy the index aside for as long as the block runs. Raises CannotWrite."""
    folder = os.path.join(git.paths.common_dir, "track", "tmp")
    path = os.path.join(folder, f"index-{os.getpid()}-{os.urandom(4).hex()}")
    try:
        os.makedirs(folder, exist_ok=True)
        _sweep(folder)
        _copy(os.path.join(git.paths.git_dir, "index"), path)
    except OSError as error:
        raise errors.CannotWrite(
            f"cannot write {path}: {error.strerror}", f"make {git.paths.common_dir} writable, or free some space"
        ) from error
    try:
        yield TemporaryIndex(git, path)
    finally:
        for leftover in (path, path + ".lock"):
            with contextlib.suppress(OSError):
                os.unlink(leftover)


def _copy(source: str, target: str) -> None:
    """A repository in which nothing was ever added has no index: then neither has the copy."""
    try:
        with open(source, "rb") as original:
            times = os.fstat(original.fileno())
            content = original.read()
    except FileNotFoundError:
        return
    with open(target, "wb") as copy:
        copy.write(content)
    os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))


def _sweep(folder: str) -> None:
    """Remove what killed processes left. A day old: no snapshot takes that long."""
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # another process sweeps too
                if entry.name.startswith("index-") and time.time() - entry.stat().st_mtime > _STALE_SECONDS:
                    os.unlink(entry.path)
