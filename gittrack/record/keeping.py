"""One parcel, from its folder to the places where its files stay: small files to `blobs/`, which become git's, others
to the content store. What must be said about them in the journal is returned, not said: that comes when all is flushed.

Whatever of this is done twice is done for nothing and hurts nobody: both places know their files by content.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from gittrack.core import parcels
from gittrack.runs import live
from gittrack.store import durable

MOST_FILES, MOST_BYTES = 1000, 32_000_000  # of one parcel in git: its record stays quick to read

Progress = Callable[[int], None]


class Stored(Protocol):
    """What a store says of a file that it has taken in."""

    @property
    def sha256(self) -> str: ...

    @property
    def size(self) -> int: ...


class Content(Protocol):
    """Where large files go."""

    def put_file(self, path: str, progress: Progress, durable: bool) -> Stored:
        """Take in a file. Raises GittrackError, OSError."""

    def put_bytes(self, data: bytes, durable: bool) -> Stored:
        """The same for what is in memory."""

    def flush(self) -> None:
        """What was taken in without `durable` is on the disk when this returns."""


class Policy(NamedTuple):
    """Which files are git's: those up to a size, but for some."""

    large: int
    stored: tuple[str, ...] = ()  # patterns of files that are not; one without a slash is one of base names

    def fits(self, name: str, size: int) -> bool:
        base = name.rpartition("/")[2]
        return size <= self.large and not any(
            fnmatch.fnmatchcase(name if "/" in pattern else base, pattern) for pattern in self.stored
        )


class Kept(NamedTuple):
    """A file that is kept, as its journal line has it."""

    where: str
    mode: str
    path: str
    sha256: str
    size: int


class Outcome(NamedTuple):
    """What became of a parcel. `left_out` are (path, reason)."""

    kept: list[Kept]
    left_out: list[tuple[str, str]]


class Found(NamedTuple):
    """One entry of a parcel."""

    name: str  # within the parcel
    path: str
    size: int
    mode: int


class Keeping:
    """Keeps the parcels of one run."""

    def __init__(self, directory: str, content: Content, policy: Policy, progress: Progress) -> None:
        self._directory = directory
        self._content = content
        self._policy = policy
        self._progress = progress

    def keep(self, parcel: str) -> Outcome:
        """Keep all files of a parcel; they are on the disk when this returns. Raises GittrackError, OSError."""
        outcome = Outcome([], [])
        blobs = _Blobs(self._directory)
        left = (MOST_FILES, MOST_BYTES)
        for found in files_of(live.parcel(self._directory, parcel)):
            fits = left[0] > 0 and found.size <= left[1] and self._policy.fits(found.name, found.size)
            try:
                with _readable(found):
                    if stat.S_ISLNK(found.mode):
                        data = os.fsencode(os.readlink(found.path))
                        kept = self._keep_data(found, data, parcels.LINK, fits, blobs)
                    elif not stat.S_ISREG(found.mode):
                        outcome.left_out.append((found.name, "is no file, folder or link"))
                        continue
                    elif fits and parcels.fits_git(found.name):
                        with open(found.path, "rb") as file:
                            kept = self._keep_data(found, file.read(), _mode(found.mode), fits, blobs)
                    else:
                        kept = self._keep_file(found)
            except _Unreadable as error:
                outcome.left_out.append((found.name, str(error)))
                continue
            outcome.kept.append(kept)
            if kept.where == parcels.GIT:
                left = (left[0] - 1, left[1] - kept.size)
        self._content.flush()
        blobs.flush()
        return outcome

    def _keep_file(self, found: Found) -> Kept:
        stored = self._content.put_file(found.path, self._progress, durable=False)
        return Kept(parcels.STORE, _mode(found.mode), found.name, stored.sha256, stored.size)

    def _keep_data(self, found: Found, data: bytes, mode: str, fits: bool, blobs: _Blobs) -> Kept:
        if fits and parcels.fits_git(found.name):
            sha256, where = blobs.add(data), parcels.GIT
        else:
            sha256, where = self._content.put_bytes(data, durable=False).sha256, parcels.STORE
        self._progress(len(data))
        return Kept(where, mode, found.name, sha256, len(data))


def files_of(folder: str) -> Iterator[Found]:
    """All that is in a parcel but its folders, in order."""
    waiting = [""]
    while waiting:
        inner = waiting.pop()
        with contextlib.suppress(FileNotFoundError), os.scandir(os.path.join(folder, inner)) as entries:
            for entry in sorted(entries, key=lambda entry: os.fsencode(entry.name)):
                name = f"{inner}/{entry.name}" if inner else entry.name
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(name)
                    continue
                with contextlib.suppress(FileNotFoundError):
                    about = entry.stat(follow_symlinks=False)
                    yield Found(name, entry.path, about.st_size, about.st_mode)


class _Unreadable(Exception):
    """A file of a parcel that cannot be read: the others are kept."""


@contextlib.contextmanager
def _readable(found: Found) -> Iterator[None]:
    """Tell errors in reading a file, which concern that file, from errors in writing, which concern all."""
    if stat.S_ISREG(found.mode):
        try:
            if not found.mode & stat.S_IRUSR:
                os.chmod(found.path, stat.S_IMODE(found.mode) | stat.S_IRUSR)  # the copy is ours
            os.close(os.open(found.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
        except OSError as error:
            raise _Unreadable(f"cannot be read: {error.strerror}") from error
    try:
        yield
    except OSError as error:
        if error.filename in (found.path, os.fsencode(found.path)) or error.filename is None:
            raise _Unreadable(f"cannot be read: {error.strerror}") from error
        raise


def _mode(mode: int) -> str:
    return "100755" if mode & stat.S_IXUSR else "100644"


class _Blobs:
    """Small files on their way to `blobs/`: synced together, named after that."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._fresh: dict[str, str] = {}

    def add(self, data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        path = live.blob(self._directory, sha256)
        if path not in self._fresh and not _has_size(path, len(data)):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            fresh = f"{path}.new"
            with open(fresh, "wb", buffering=0) as file:
                if file.write(data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), fresh)
            self._fresh[path] = fresh
        return sha256

    def flush(self) -> None:
        if not self._fresh:
            return
        folder = os.path.join(self._directory, parcels.BLOBS)
        durable.sync(list(self._fresh.values()), folder)
        for path, fresh in self._fresh.items():
            os.rename(fresh, path)
        durable.sync([folder], folder)
        self._fresh.clear()


def _has_size(path: str, size: int) -> bool:
    """Whether it is there; names come after contents, so then it is whole."""
    try:
        return os.stat(path).st_size == size
    except FileNotFoundError:
        return False
