"""A store in a directory: a file per key. The repository's own content store, and `file://`.

An object is first a file in `incoming/`, written but in nobody's way; `flush` syncs all that are waiting and only then
gives them their names. So a name never stands for torn bytes, whatever is killed or unplugged, and a file of
200 chunks costs two syncs instead of 400. What a killed process leaves in `incoming/` a later one removes.
"""

import contextlib
import errno
import itertools
import os
import secrets
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from gittrack import errors
from gittrack.store import durable
from gittrack.store.base import Bytes, Entry

INCOMING = "incoming"
WAITING_BYTES = 64 * 1024 * 1024  # what a kill takes back at most
WAITING_OBJECTS = 1024
OLD = 24 * 3600.0  # no process takes that long for 64 MB; only its dead leave such files
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)
_ABSENT = (errno.ENOENT, errno.ENOTDIR)


class Waiting(NamedTuple):
    """An object that is written and has no name yet."""

    path: str
    size: int


class DirectoryStore:
    """Files below `root`, which the first `put` makes, with the permissions of the directory that it stands in."""

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(root)
        self.url = f"file://{self.root}"
        self._waiting: dict[str, Waiting] = {}
        self._waiting_bytes = 0
        self._lock = threading.RLock()
        self._lost: errors.GittrackError | None = None
        self._swept = False
        self._numbers = itertools.count()
        self._word = secrets.token_hex(4)

    def put(self, key: str, data: Bytes) -> None:
        self._path(key)
        try:
            waiting = self._write(data)
        except OSError as error:
            self._save_the_others()
            raise self._cannot_write(error) from error
        with self._lock:
            former = self._waiting.pop(key, None)
            self._waiting[key] = waiting  # last: objects get their names in the order in which they came
            if former is not None:
                _remove(former.path)
            self._waiting_bytes += waiting.size
            if self._waiting_bytes >= WAITING_BYTES or len(self._waiting) >= WAITING_OBJECTS:
                self._flush()

    def get(self, key: str) -> bytes:
        waiting = self._waiting.get(key)
        for path in (waiting.path, self._path(key)) if waiting else (self._path(key),):
            try:
                with open(path, "rb", buffering=0) as file:
                    return file.read()
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise self._cannot_read(error) from error
        raise errors.MissingContent(f"{key} is not in {self.root}", "fetch it from where the run was recorded")

    def size(self, key: str) -> int | None:
        waiting = self._waiting.get(key)
        if waiting is not None:
            return waiting.size
        try:
            return os.stat(self._path(key)).st_size
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise self._cannot_read(error) from error

    def freshen(self, key: str) -> int | None:
        """`size`, of an object that is about to be relied on: it counts as new, so that no clean-up takes it now."""
        if key not in self._waiting:
            try:
                os.utime(self._path(key))
            except PermissionError:  # another user's, who may remove it: it is put again, in our name
                return None
            except OSError:  # absent, or read-only, where nobody cleans up either
                pass
        return self.size(key)

    def list(self, prefix: str) -> Iterator[Entry]:
        self.flush()
        start = os.path.join(self.root, os.path.dirname(prefix))
        for folder, folders, names in os.walk(start, onerror=self._walk_failed):
            if folder == self.root:
                folders[:] = [name for name in folders if name != INCOMING]
            for name in names:
                path = os.path.join(folder, name)
                key = os.path.relpath(path, self.root).replace(os.sep, "/")
                if key.startswith(prefix):
                    with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                        found = os.stat(path)
                        yield Entry(key, found.st_size, found.st_mtime)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            with self._lock:
                waiting = self._waiting.pop(key, None)
            if waiting is not None:
                _remove(waiting.path)
            try:
                os.unlink(self._path(key))
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise self._cannot_write(error) from error

    def flush(self) -> None:
        try:
            self._flush()
        finally:
            lost, self._lost = self._lost, None
        if lost is not None:  # said once, to a `put` of something else; who waits for the others has to hear it as well
            raise lost

    def _flush(self) -> None:
        with self._lock:
            if not self._waiting:
                return
            try:
                self._place()
            except OSError as error:
                # A kernel that failed to write forgets that it did, and a second sync would succeed: nothing of this
                # batch can be believed.
                for waiting in self._waiting.values():
                    _remove(waiting.path)
                self._lost = self._cannot_write(error)
                raise self._lost from error
            finally:
                self._waiting.clear()
                self._waiting_bytes = 0

    def _save_the_others(self) -> None:
        """Before a `put` fails: what waits is whole, and the next try need not write it again."""
        with contextlib.suppress(errors.GittrackError):  # the disk that failed may fail here too: `flush` says so
            self._flush()

    def _place(self) -> None:
        durable.sync([waiting.path for waiting in self._waiting.values()], self.root)
        changed: set[str] = set()
        for key, waiting in self._waiting.items():
            path = self._path(key)
            changed.update(self._rename(waiting.path, path))
        durable.sync(changed, self.root)

    def _rename(self, temporary: str, path: str) -> Sequence[str]:
        """Give a file its name; the directories that are new or have changed by that."""
        folder = os.path.dirname(path)
        try:
            os.rename(temporary, path)
        except FileNotFoundError:
            made = self._make_directory(folder)
            os.rename(temporary, path)
            return [folder, *made]
        return [folder]

    def _write(self, data: Bytes) -> Waiting:
        folder = os.path.join(self.root, INCOMING)
        path = os.path.join(folder, f"{os.getpid()}-{self._word}-{next(self._numbers)}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            file = os.open(path, flags, 0o600)
        except FileNotFoundError:
            self._make_directory(folder)
            file = os.open(path, flags, 0o600)
        if not self._swept:
            self._swept = True
            _sweep(folder)
        try:
            try:
                view = memoryview(data).cast("B")
                size = len(view)
                while view:
                    view = view[os.write(file, view) :]
                durable.begin(file, size)
                os.fchmod(file, 0o444 & os.stat(self.root).st_mode)
            finally:
                os.close(file)
        except BaseException:
            _remove(path)
            raise
        return Waiting(path, size)

    def _make_directory(self, path: str) -> Sequence[str]:
        """Make it and those above, each with the permissions of the one that it stands in (core.sharedRepository).
        Gives the directories in which one was made."""
        above = os.path.dirname(path)
        changed = [] if os.path.isdir(above) else [*self._make_directory(above)]
        with contextlib.suppress(FileExistsError):
            os.mkdir(path)
            os.chmod(path, os.stat(above).st_mode & 0o7777)
            changed.append(above)
        return changed

    def _path(self, key: str) -> str:
        parts = key.split("/")
        if parts[0] == INCOMING or not {"", ".", ".."}.isdisjoint(parts):
            raise ValueError(f"not a key: {key!r}")
        return os.path.join(self.root, *parts)

    def _walk_failed(self, error: OSError) -> None:
        if error.errno not in _ABSENT:
            raise self._cannot_read(error) from error

    def _cannot_write(self, error: OSError) -> errors.GittrackError:
        if error.errno in _FULL:
            return errors.CannotWrite(f"{self.root}: the disk is full", "free some space, then run the command again")
        if error.errno in _FORBIDDEN:
            hint = f"make {self.root} writable for you, then run the command again"
            return errors.CannotWrite(f"{self.root} cannot be written: {error.strerror}", hint)
        return errors.StoreFailed(f"{self.root}: {error.strerror}", "check the disk, then run the command again")

    def _cannot_read(self, error: OSError) -> errors.StoreFailed:
        hint = "check the disk and the permissions, then run the command again"
        return errors.StoreFailed(f"{self.root} cannot be read: {error.strerror}", hint)


def _sweep(folder: str) -> None:
    """Remove what processes that died long ago were writing."""
    now = time.time()
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # taken away by another process, or another user's
                if now - entry.stat(follow_symlinks=False).st_mtime > OLD:
                    os.unlink(entry.path)


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):  # gone, or the error that brought us here says more
        os.unlink(path)
