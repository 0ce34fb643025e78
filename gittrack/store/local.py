"""The repository's own content store."""

import contextlib
import fcntl
import os
from collections.abc import Iterator

from gittrack.store.content import Content
from gittrack.store.directory import DirectoryStore

FOLDER = "objects"


def open_local(track_dir: str) -> Content:
    """The content store in gittrack's own directory (`.git/track`); it is made when something is put."""
    store = DirectoryStore(os.path.join(track_dir, FOLDER))
    return Content(store, store.freshen, storing=lambda: _storing(track_dir))


def lock_path(track_dir: str) -> str:
    """Locked by all who store files, together, and by who removes them, alone."""
    return os.path.join(track_dir, "objects.lock")


@contextlib.contextmanager
def _storing(track_dir: str) -> Iterator[None]:
    try:
        file = os.open(lock_path(track_dir), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:  # no such folder yet, read-only, full: whatever is put says it better
        yield
        return
    try:
        with contextlib.suppress(OSError):  # another user's, or none of ours to change; no flock on this file system
            os.fchmod(file, 0o666 & os.stat(track_dir).st_mode)
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_SH)
        yield
    finally:
        os.close(file)
