"""Where large files of a job stay until a home has them: `files/<sha256>` in the run's folder.

A parcel is a private copy already, and both are in one folder: so a file gets a second name instead of being copied.
It keeps the first one until its parcel is said to be kept, so that all of it can be done again.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from typing import NamedTuple

from gittrack.record.keeping import Progress
from gittrack.store import durable as disk

FOLDER = "files"
PIECE = 1024 * 1024
_UNLINKABLE = (errno.EPERM, errno.EXDEV, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES)


class Held(NamedTuple):
    """A file that is there."""

    sha256: str
    size: int


class Files:
    """A `keeping.Content`. Files are synced together, and named after that."""

    def __init__(self, directory: str) -> None:
        self._folder = os.path.join(directory, FOLDER)
        self._fresh: dict[str, str] = {}

    def put_file(self, path: str, progress: Progress, durable: bool) -> Held:
        """Take in the file at `path`. Raises OSError."""
        whole, size = hashlib.sha256(), 0
        with open(path, "rb", buffering=0) as file:
            while piece := file.read(PIECE):
                whole.update(piece)
                size += len(piece)
                progress(len(piece))
        held = Held(whole.hexdigest(), size)
        if fresh := self._begin(held):
            try:
                os.link(path, fresh, follow_symlinks=False)
            except OSError as error:
                if error.errno not in _UNLINKABLE:
                    raise
                _copy(path, fresh)
            self._fresh[self._path(held)] = fresh
        self._end(durable)
        return held

    def put_bytes(self, data: bytes, durable: bool) -> Held:
        """The same for what is in memory."""
        held = Held(hashlib.sha256(data).hexdigest(), len(data))
        if fresh := self._begin(held):
            with open(fresh, "wb") as file:
                file.write(data)
            self._fresh[self._path(held)] = fresh
        self._end(durable)
        return held

    def flush(self) -> None:
        """What was taken in is on the disk, under its name. Raises OSError."""
        if not self._fresh:
            return
        disk.sync(list(self._fresh.values()), self._folder)
        for path, fresh in self._fresh.items():
            os.rename(fresh, path)
        disk.sync([self._folder], self._folder)
        self._fresh.clear()

    def _begin(self, held: Held) -> str | None:
        """The name under which the file is to be made; None where it is there."""
        path = self._path(held)
        if path in self._fresh or _has_size(path, held.size):
            return None
        os.makedirs(self._folder, exist_ok=True)
        fresh = f"{path}.new"
        if os.path.lexists(fresh):  # whoever made it was killed
            os.unlink(fresh)
        return fresh

    def _path(self, held: Held) -> str:
        return os.path.join(self._folder, held.sha256)

    def _end(self, durable: bool) -> None:
        if durable:
            self.flush()


def _copy(path: str, fresh: str) -> None:
    """What fails in writing is no fault of the file that is read: shutil names that one."""
    try:
        shutil.copyfile(path, fresh)
    except OSError as error:
        raise OSError(error.errno, error.strerror, fresh) from error


def _has_size(path: str, size: int) -> bool:
    try:
        return os.stat(path).st_size == size
    except FileNotFoundError:
        return False
